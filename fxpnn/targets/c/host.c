/* Run a network on images of a file; write the words of every layer and output, then the counts. */
#include "run.h"
#include <stdio.h>

static FILE *written;

void RUN_TRACE(size_t layer, const int16_t *words, size_t count)
{
    (void)layer;
    fwrite(words, sizeof *words, count, written);
}

int main(int argc, char **argv)
{
    static int16_t image[RUN_INPUT_WORDS];
    FILE *images = argc == 3 ? fopen(argv[1], "rb") : NULL;
    written = argc == 3 ? fopen(argv[2], "wb") : NULL;
    if (images == NULL || written == NULL) return 2;
    while (fread(image, sizeof image, 1, images) == 1) run(image);
#if RUN_COUNTED
    fwrite(RUN_COUNT, sizeof *RUN_COUNT, RUN_LAYERS, written);
#endif
    return ferror(images) != 0 || fclose(written) != 0;
}
