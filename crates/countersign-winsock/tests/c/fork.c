/* A process that is forked, without exec, while threads of it wait for a KDC: its child has threads of its own. */
#include "check.h"

#include <sys/wait.h>
#include <unistd.h>

static struct echo *echo;

/* A byte there and back with a service of the peer that echoes. */
static int round_trip(const char *service) {
    char byte = 0;
    SOCKET s = dial(echo, service, 0);
    int worked = s != INVALID_SOCKET && send(s, "f", 1, 0) == 1 && recv(s, &byte, 1, 0) == 1 && byte == 'f';
    if (s != INVALID_SOCKET) closesocket(s);
    return worked;
}

static void *hang(void *service) {
    round_trip((const char *)service);
    return NULL;
}

/* Its child, which makes another one, dials services for which a KDC is to be asked. */
static int forked(char **services, int depth) {
    pid_t child = fork();
    int status = 0;
    if (child == 0) {
        alarm(60);
        int worked = round_trip(services[0]) && round_trip(services[1]);
        _exit(worked && (depth == 0 || forked(services + 1, depth - 1)) ? 0 : 1);
    }
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

/* fork SERVICE OTHER THIRD SILENT: the last is in a realm whose KDC does not answer. */
int main(int count, char **words) {
    if (count != 5) return 2;
    check_start();
    echo = echo_start(SOCK_STREAM);
    CHECK("the parent before", round_trip(words[1]));
    for (int i = 0; i < 40; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, hang, words[4]) != 0) abort();
        pthread_detach(thread);
    }
    Sleep(300);
    CHECK("a child and its child", forked(words + 1, 1));
    CHECK("the parent after", round_trip(words[3]));
    fflush(stdout);
    int failed = check_end();
    fflush(stdout);
    /* Threads are in the Kerberos library still, which exit(3) would take down under them. */
    _exit(failed);
}
