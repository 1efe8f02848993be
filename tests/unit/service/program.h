// Runs one of our programs as a process of its own, and reads its output.
#ifndef TOLLGATE_TESTS_UNIT_SERVICE_PROGRAM_H_
#define TOLLGATE_TESTS_UNIT_SERVICE_PROGRAM_H_

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace tollgate::service {

inline std::string ReadFile(const std::string& path) {
  std::ifstream in(path);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

// Polls until `condition` holds; false when `limit` passes first.
template <typename Condition>
bool Eventually(Condition condition, absl::Duration limit = absl::Seconds(30)) {
  const absl::Time end = absl::Now() + limit;
  while (!condition()) {
    if (absl::Now() > end) return false;
    absl::SleepFor(absl::Milliseconds(5));
  }
  return true;
}

class Program {
 public:
  // `log` gets stdout and stderr. `environment`: NAME=value, added to ours.
  Program(const std::string& path, std::vector<std::string> args, const std::string& log,
          std::vector<std::string> environment = {})
      : log_(log) {
    std::vector<char*> argv = {const_cast<char*>(path.c_str())};
    for (std::string& arg : args) argv.push_back(arg.data());
    argv.push_back(nullptr);
    pid_ = fork();
    if (pid_ == 0) {
      const int out = open(log.c_str(), O_CREAT | O_TRUNC | O_WRONLY, 0600);
      dup2(out, 1);
      dup2(out, 2);
      for (std::string& one : environment) putenv(one.data());
      execv(path.c_str(), argv.data());
      _exit(127);
    }
  }
  ~Program() {
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
  }

  void Signal(int signal) { kill(pid_, signal); }

  // The exit code; 128 + signal where a signal ended it; -1 where it still runs after `limit`.
  int Wait(absl::Duration limit = absl::Seconds(60)) {
    int status = 0;
    if (!Eventually([&] { return waitpid(pid_, &status, WNOHANG) == pid_; }, limit)) return -1;
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  bool running() {
    int status = 0;
    return pid_ > 0 && waitpid(pid_, &status, WNOHANG) == 0;
  }

  std::string output() const { return ReadFile(log_); }

 private:
  const std::string log_;
  pid_t pid_ = -1;
};

}  // namespace tollgate::service

#endif  // TOLLGATE_TESTS_UNIT_SERVICE_PROGRAM_H_
