/* Run a network on a bare Cortex-M4 of QEMU: files by semihosting, instructions by a timer.
   With -icount shift=0 an instruction takes 1 ns; the timer of 25 MHz ticks after every 40. */
#include "run.h"

extern uint32_t stack_top[], data_from[], data[], data_end[], bss_end[];

/* Ask the debugger, which is QEMU: Arm's "Semihosting for AArch32 and AArch64", 2.0. */
static int32_t ask(int32_t operation, const void *block)
{
    register int32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = block;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

static uint32_t open_file(const char *name, uint32_t length, uint32_t mode)
{
    const uint32_t block[] = {(uint32_t)name, mode, length};
    return (uint32_t)ask(1, block);
}

static void leave(uint32_t status)
{
    const uint32_t block[] = {0x20026, status}; /* ADP_Stopped_ApplicationExit */
    ask(0x20, block);
    for (;;) {}
}

static uint32_t written;

static void write_bytes(const void *bytes, uint32_t count)
{
    const uint32_t block[] = {written, (uint32_t)bytes, count};
    if (ask(5, block) != 0) leave(3);
}

void RUN_TRACE(size_t layer, const int16_t *words, size_t count)
{
    (void)layer;
    write_bytes(words, 2 * count);
}

#define TIMER ((volatile uint32_t *)0x40000000) /* CTRL, VALUE, RELOAD; VALUE counts down */

/* Wait for the next tick: four instructions a turn, whose number is returned. */
static uint32_t wait_for_tick(void)
{
    uint32_t turns = 0, before, now;
    __asm__ volatile(
        "ldr %1, [%3, #4]\n1: adds %0, #1\nldr %2, [%3, #4]\ncmp %1, %2\nbeq 1b"
        : "+l"(turns), "=&l"(before), "=&l"(now) : "l"(TIMER) : "cc", "memory");
    return turns;
}

static uint32_t instructions(const int16_t *image)
{
    wait_for_tick();
    const uint32_t begin = TIMER[1];
    if (image != 0) run(image);
    const uint32_t end = TIMER[1];
    return 40 * (begin - end + 1) - 4 * wait_for_tick();
}

int main(void)
{
    static int16_t image[RUN_INPUT_WORDS];
    const uint32_t images = open_file("images.bin", 10, 1);
    written = open_file("words.bin", 9, 5);
    TIMER[2] = 0xffffffffu;
    TIMER[0] = 1;
    const uint32_t block[] = {images, (uint32_t)image, sizeof image};
    while (ask(6, block) == 0) {
        const uint32_t taken = instructions(image) - instructions(0);
        write_bytes(&taken, sizeof taken);
    }
#if RUN_COUNTED
    write_bytes(RUN_COUNT, RUN_LAYERS * sizeof *RUN_COUNT);
#endif
    return 0;
}

void reset(void)
{
    for (uint32_t *to = data, *from = data_from; to < data_end;) *to++ = *from++;
    for (uint32_t *to = data_end; to < bss_end;) *to++ = 0;
    leave((uint32_t)main());
}

static void fault(void)
{
    leave(4);
}

__attribute__((section(".vectors"), used)) static const void *const vectors[16] = {
    stack_top, (const void *)reset, (const void *)fault, (const void *)fault, (const void *)fault,
    (const void *)fault, (const void *)fault,
};
