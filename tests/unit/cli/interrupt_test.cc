#include "cli/interrupt.h"

#include <gtest/gtest.h>

#include <thread>

namespace tollgate::cli {
namespace {

TEST(Interrupt, TakesTheSignalInsteadOfTheProcess) {
  Interrupt interrupt;
  EXPECT_EQ(interrupt.Wait(absl::ZeroDuration()), Interrupt::Woken::kTime);
  std::raise(SIGINT);  // to this thread
  EXPECT_EQ(interrupt.Wait(absl::InfiniteDuration()), Interrupt::Woken::kInterrupted);
  EXPECT_EQ(interrupt.Wait(absl::InfiniteDuration()), Interrupt::Woken::kInterrupted)
      << "it stays told";
}

TEST(Interrupt, LeavesNothingBehind) {
  {
    Interrupt interrupt;
    std::raise(SIGTERM);  // never waited for; ended with it
  }
  sigset_t pending;
  sigpending(&pending);
  EXPECT_FALSE(sigismember(&pending, SIGTERM));
}

TEST(Interrupt, IsNotifiedFromAnotherThread) {
  Interrupt interrupt;
  std::thread other([&] { interrupt.Notify(); });
  EXPECT_EQ(interrupt.Wait(absl::InfiniteDuration()), Interrupt::Woken::kNotified);
  other.join();
  interrupt.Notify();
  interrupt.WaitNotified();
  EXPECT_EQ(interrupt.Wait(absl::ZeroDuration()), Interrupt::Woken::kTime) << "each is told once";
}

}  // namespace
}  // namespace tollgate::cli
