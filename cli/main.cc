#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <iostream>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/core_dump.h"
#include "base/secret.h"
#include "cli/command_line.h"
#include "google/protobuf/stubs/logging.h"
#include "net/grpc_log.h"

int main(int argc, char** argv) {
  tollgate::base::InitSecrets();
  tollgate::base::ForbidCoreDumps();
  // A reader that has gone is a failed write, which the command reports: it may hold a token that
  // nobody has seen.
  signal(SIGPIPE, SIG_IGN);
  tollgate::net::SilenceGrpc();
  // Protobuf's complaints also come as errors; its own lines would stand between the command's.
  google::protobuf::SetLogHandler(nullptr);
  // A token string is read from standard input: no buffer of the library's keeps it.
  setvbuf(stdin, nullptr, _IONBF, 0);
  tollgate::cli::Terminal terminal;
  terminal.in = &std::cin;
  terminal.out = &std::cout;
  terminal.err = &std::cerr;
  terminal.in_is_terminal = isatty(STDIN_FILENO) != 0;
  terminal.out_is_terminal = isatty(STDOUT_FILENO) != 0;
  terminal.clock = &tollgate::base::SystemClock();
  return tollgate::cli::RunCommand(std::vector<std::string>(argv + 1, argv + argc), terminal);
}
