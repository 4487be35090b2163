"""Known architectures, and the state dicts of other frameworks that become them.

``architectures.architecture("lenet5")`` describes a network and its training recipe,
``conversion.convert`` fills it with saved parameters.
"""
