// Hides what is typed at a terminal while a secret is asked for.
#ifndef TOLLGATE_CLI_HIDDEN_INPUT_H_
#define TOLLGATE_CLI_HIDDEN_INPUT_H_

namespace tollgate::cli {

// While this object lives, the terminal `fd` does not echo. The echo is restored when the object is
// destroyed, and before a signal that ends or stops the process (SIGINT, SIGTERM, SIGQUIT, SIGHUP,
// SIGTSTP) takes effect: Ctrl-C at the prompt leaves no terminal that hides what is typed. When the
// process continues after a stop, the terminal hides again. One object at a time.
class HiddenInput {
 public:
  // Hides nothing where `fd` is not a terminal.
  explicit HiddenInput(int fd);
  ~HiddenInput();
  HiddenInput(const HiddenInput&) = delete;
  HiddenInput& operator=(const HiddenInput&) = delete;

  bool hides() const { return hides_; }

 private:
  bool hides_ = false;
};

}  // namespace tollgate::cli

#endif  // TOLLGATE_CLI_HIDDEN_INPUT_H_
