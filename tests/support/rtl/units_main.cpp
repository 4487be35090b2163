// One cycle of `units_harness` for each 48 bytes of input that arrive, 16 bytes of output each.
#include <cstdio>

#include "Vunits_harness.h"
#include "verilated.h"

int main() {
    VerilatedContext context;
    Vunits_harness top{&context};
    while (fread(&top.in[0], 4, 12, stdin) == 12) {
        top.clock = 0;
        top.eval();
        fwrite(&top.out[0], 4, 4, stdout);
        top.clock = 1;
        top.eval();
    }
}
