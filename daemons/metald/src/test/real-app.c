/* The app of the real test VM: "serve" answers HTTP on 8080 until SIGTERM; "exit N" says bye and ends. */
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void on_term(int signal_number) {
    (void)signal_number;
    _exit(0);
}

int main(int argc, char **argv) {
    if (argc > 2 && strcmp(argv[1], "exit") == 0) {
        printf("bye\n");
        return atoi(argv[2]);
    }
    signal(SIGTERM, on_term);
    int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(8080)};
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0) return 1;
    listen(listener, 16);
    printf("listening\n");
    fflush(stdout);
    for (;;) {
        static const char answer[] = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello";
        char request[4096];
        int peer = accept(listener, NULL, NULL);
        if (peer < 0) continue;
        if (read(peer, request, sizeof request) > 0) (void)!write(peer, answer, sizeof answer - 1);
        close(peer);
    }
}
