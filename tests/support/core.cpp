// Runs a core that Verilator made C++ of, in the folder of its ROMs, and prints what it does.
//
// Read from stdin: the words of an image and of its outputs, images, a seed for stalls (0: none), the
// place of tlast in an image, the cycle of a reset after which all begins again (0: none), steps; for
// each step the offset and the size of its words; the words of all images.
#include <cstdio>
#include <vector>
#include "Vfx_core.h"
#include "Vfx_core___024root.h"
#include "verilated.h"

static Vfx_core core;
static long cycle = 0;

static void low() { core.aclk = 0; core.eval(); }

static void tick() {
    low();
    core.aclk = 1;
    core.eval();
    cycle++;
}

static void reset() {
    core.aresetn = 0;
    core.s_axis_tvalid = core.m_axis_tready = 0;
    for (int i = 0; i < 3; i++) tick();
    core.aresetn = 1;
}

static long number() {
    long read = 0;
    return std::scanf("%ld", &read) == 1 ? read : 0;
}

int main(int argc, char** argv) {
    Verilated::commandArgs(argc, argv);
    const long taken = number(), given = number(), images = number();
    const unsigned seed = number();
    const long last = number(), restart = number(), steps = number();
    std::vector<long> offsets, sizes, words;
    for (long i = 0; i < steps; i++) { offsets.push_back(number()); sizes.push_back(number()); }
    for (long i = 0; i < taken * images; i++) words.push_back(number());

    unsigned random = seed;
    auto ready = [&] { random = random * 1664525u + 1013904223u; return !seed || random >> 30; };
    long in = 0, out = 0, began = 0, ended = 0, quiet = 0;
    bool offered = false;
    reset();
    while (out < given * images && quiet < 1000000 && !core.error) {
        offered = offered || (in < taken * images && ready());
        core.s_axis_tvalid = offered;
        core.s_axis_tdata = offered ? words[in] : 0xdead;
        core.s_axis_tlast = offered && in % taken == last;
        core.m_axis_tready = ready();
        low();
        quiet++;
        if (core.step_done) {
            const long step = core.step_number;
            std::printf("STEP %ld %ld", step, cycle - ended);
            for (long i = 0; i < sizes[step]; i++)
                std::printf(" %d", (short)core.rootp->fx_core__DOT__memory__DOT__words[offsets[step] + i]);
            std::printf("\n");
            ended = cycle;
        }
        if (core.s_axis_tvalid && core.s_axis_tready) {
            if (in % taken == 0) began = cycle;
            in++;
            offered = false;
            ended = cycle + 2;
            quiet = 0;
        }
        if (core.m_axis_tvalid && core.m_axis_tready) {
            std::printf("OUT %d %d %d\n", (short)core.m_axis_tdata, core.m_axis_tlast, core.m_axis_tuser);
            if (++out % given == 0) std::printf("IMAGE %ld\n", cycle - began + 1);
            quiet = 0;
        }
        tick();
        if (cycle == restart) {
            std::printf("RESET\n");
            in = out = quiet = 0;
            offered = false;
            reset();
        }
    }
    std::printf("ERROR %d\n", core.error);
    for (long step = 0; step < steps; step++) {
        core.count_step = step;
        tick();
        low();
        std::printf("COUNTS %ld %llu %llu %llu\n", step, (unsigned long long)core.count_clamps,
            (unsigned long long)core.count_saturations, (unsigned long long)core.count_below_zero);
    }
    core.final();
    return 0;
}
