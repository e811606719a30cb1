/* Faults that the instruments must find: a read of freed memory, a leak. */
#include <stdlib.h>
#include <string.h>

static void *volatile place;

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "leak") == 0) {
        place = malloc(100);
        place = NULL;
        return 0;
    }
    place = malloc(100);
    free(place);
    return ((volatile char *)place)[50] == 77 ? 1 : 0;
}
