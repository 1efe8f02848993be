// A terminal that does not show what is typed, for as long as a secret is asked for.
#ifndef TOLLGATE_CLI_HIDDEN_INPUT_H_
#define TOLLGATE_CLI_HIDDEN_INPUT_H_

namespace tollgate::cli {

// While it lives the terminal `fd` does not echo. It is put right when this goes, and before any
// signal that ends or stops the process (SIGINT, SIGTERM, SIGQUIT, SIGHUP, SIGTSTP) takes its
// course: Ctrl-C at the prompt leaves no terminal that hides what is typed. Continued after a stop
// it hides again. One at a time.
class HiddenInput {
 public:
  // Hides nothing where `fd` is no terminal.
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
