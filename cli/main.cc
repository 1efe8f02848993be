#include <sys/ioctl.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/string_view.h"
#include "base/clock.h"
#include "base/core_dump.h"
#include "base/secret.h"
#include "cli/command_line.h"
#include "google/protobuf/stubs/logging.h"
#include "net/grpc_log.h"

namespace {

// How wide the terminal says it is; 0: it does not.
size_t ColumnsOf(int terminal) {
  winsize size{};
  if (ioctl(terminal, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  const char* const told = std::getenv("COLUMNS");
  int columns = 0;
  return told != nullptr && absl::SimpleAtoi(told, &columns) && columns > 0 ? columns : 0;
}

// By the customs of https://no-color.org and terminfo.
bool WantsColours() {
  const char* const no = std::getenv("NO_COLOR");
  const char* const term = std::getenv("TERM");
  return (no == nullptr || *no == 0) && term != nullptr && *term != 0 &&
         absl::string_view(term) != "dumb";
}

}  // namespace

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
  if (terminal.out_is_terminal) {
    terminal.columns = ColumnsOf(STDOUT_FILENO);
    terminal.colours = WantsColours();
  }
  terminal.err_is_terminal = isatty(STDERR_FILENO) != 0;
  if (terminal.err_is_terminal) terminal.err_columns = ColumnsOf(STDERR_FILENO);
  terminal.clock = &tollgate::base::SystemClock();
  return tollgate::cli::RunCommand(std::vector<std::string>(argv + 1, argv + argc), terminal);
}
