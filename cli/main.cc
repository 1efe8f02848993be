#include <unistd.h>

#include <iostream>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/secret.h"
#include "cli/context.h"

int main(int argc, char** argv) {
  tollgate::InitSecrets();
  tollgate::Terminal terminal;
  terminal.in = &std::cin;
  terminal.out = &std::cout;
  terminal.err = &std::cerr;
  terminal.in_is_terminal = isatty(STDIN_FILENO) != 0;
  terminal.out_is_terminal = isatty(STDOUT_FILENO) != 0;
  terminal.clock = &tollgate::SystemClock();
  return tollgate::RunCommand(std::vector<std::string>(argv + 1, argv + argc), terminal);
}
