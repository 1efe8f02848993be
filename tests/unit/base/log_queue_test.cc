#include "base/log_queue.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "base/log.h"

namespace tollgate::base {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr absl::Duration kPatience = absl::Seconds(60);

// A pipe that holds a page.
class SmallPipe {
 public:
  SmallPipe() {
    signal(SIGPIPE, SIG_IGN);
    EXPECT_EQ(pipe2(ends_.data(), O_CLOEXEC), 0);
    fcntl(ends_[1], F_SETPIPE_SZ, 4096);
  }
  // The end to write to stays open: a queue's thread may still be at it, and its number must not
  // become the next test's.
  ~SmallPipe() {
    if (ends_[0] >= 0) close(ends_[0]);
  }
  SmallPipe(const SmallPipe&) = delete;
  SmallPipe& operator=(const SmallPipe&) = delete;

  int to_write() const { return ends_[1]; }
  void CloseReader() {
    close(ends_[0]);
    ends_[0] = -1;
  }
  // So that not a byte finds room.
  void Fill() {
    const int flags = fcntl(ends_[1], F_GETFL);
    fcntl(ends_[1], F_SETFL, flags | O_NONBLOCK);
    for (size_t size : {4096, 1}) {
      const std::string dots(size, '.');
      while (write(ends_[1], dots.data(), dots.size()) > 0) {
      }
    }
    fcntl(ends_[1], F_SETFL, flags);
  }
  // Reads until the text ends with `end`.
  std::string ReadTo(const std::string& end) {
    std::string text;
    char buffer[4096];
    while (text.size() < end.size() || text.substr(text.size() - end.size()) != end) {
      const ssize_t n = read(ends_[0], buffer, sizeof(buffer));
      if (n <= 0) break;
      text.append(buffer, static_cast<size_t>(n));
    }
    return text;
  }

 private:
  std::array<int, 2> ends_{-1, -1};
};

LogQueue* QueueOn(int fd, size_t most_lines = 1000, size_t most_bytes = 1 << 20) {
  LogQueue::Options options;
  options.fd = fd;
  options.most_lines = most_lines;
  options.most_bytes = most_bytes;
  options.important_lines = 2;
  options.dropped_line = [](int64_t lines) { return absl::StrCat("dropped ", lines, "\n"); };
  return LogQueue::Start(std::move(options));
}

// The lines that stand behind what filled the pipe.
std::vector<std::string> LinesOf(std::string text) {
  const size_t first = text.find_first_not_of('.');
  text = first == std::string::npos ? "" : text.substr(first);
  return absl::StrSplit(text, '\n', absl::SkipEmpty());
}

TEST(LogQueueTest, WritesEveryLineInOrder) {
  SmallPipe pipe;
  LogQueue* const queue = QueueOn(pipe.to_write());
  std::string all;
  for (int i = 0; i < 500; ++i) {
    const std::string line = absl::StrCat("line ", i, "\n");
    queue->Push(line);
    all += line;
  }
  EXPECT_EQ(pipe.ReadTo("line 499\n"), all);
  EXPECT_TRUE(queue->Flush(kPatience));
  EXPECT_EQ(queue->dropped(), 0);
}

TEST(LogQueueTest, NobodyWaitsForAReaderThatSleepsAndWhatIsMissingIsToldAtItsPlace) {
  SmallPipe pipe;
  pipe.Fill();
  LogQueue* const queue = QueueOn(pipe.to_write(), /*most_lines=*/10);
  for (int i = 0; i < 100; ++i) queue->Push(absl::StrCat("line ", i, "\n"));
  EXPECT_FALSE(queue->Flush(absl::Milliseconds(1)));
  const int64_t dropped = queue->dropped();
  // One may be with the writer, beside the ten.
  EXPECT_GE(dropped, 89);
  EXPECT_LE(dropped, 90);
  const std::vector<std::string> lines =
      LinesOf(pipe.ReadTo(absl::StrCat("dropped ", dropped, "\n")));
  ASSERT_EQ(lines.size(), static_cast<size_t>(100 - dropped + 1));
  for (size_t i = 0; i + 1 < lines.size(); ++i) EXPECT_EQ(lines[i], absl::StrCat("line ", i));
  queue->Push("later\n");
  EXPECT_EQ(pipe.ReadTo("\n"), "later\n");
  EXPECT_EQ(queue->dropped(), dropped);
}

TEST(LogQueueTest, BytesAreBoundedToo) {
  SmallPipe pipe;
  pipe.Fill();
  LogQueue* const queue = QueueOn(pipe.to_write(), /*most_lines=*/1000, /*most_bytes=*/1000);
  for (int i = 0; i < 100; ++i) queue->Push(std::string(99, 'x') + "\n");
  EXPECT_GE(queue->dropped(), 89);
  EXPECT_LE(queue->dropped(), 90);
}

TEST(LogQueueTest, LastWordsFindRoomInAFullQueue) {
  SmallPipe pipe;
  pipe.Fill();
  LogQueue* const queue = QueueOn(pipe.to_write(), /*most_lines=*/3);
  for (int i = 0; i < 20; ++i) queue->Push("chatter\n");
  const int64_t dropped = queue->dropped();
  queue->Push("last words\n", /*important=*/true);
  EXPECT_EQ(queue->dropped(), dropped);
  EXPECT_THAT(pipe.ReadTo(absl::StrCat("dropped ", dropped, "\n")), HasSubstr("last words\n"));
  // Their room is bounded as well.
  pipe.Fill();
  for (int i = 0; i < 20; ++i) queue->Push("last words\n", /*important=*/true);
  EXPECT_GT(queue->dropped(), dropped);
}

TEST(LogQueueTest, WhatTheDescriptorRefusesIsCounted) {
  signal(SIGPIPE, SIG_IGN);
  SmallPipe pipe;
  pipe.CloseReader();
  LogQueue* const queue = QueueOn(pipe.to_write());
  for (int i = 0; i < 5; ++i) queue->Push("line\n");
  EXPECT_TRUE(queue->Flush(kPatience));
  EXPECT_GE(queue->dropped(), 5);
}

TEST(LogQueueTest, ADescriptorThatIsNonBlockingIsWaitedFor) {
  SmallPipe pipe;
  pipe.Fill();
  fcntl(pipe.to_write(), F_SETFL, fcntl(pipe.to_write(), F_GETFL) | O_NONBLOCK);
  LogQueue* const queue = QueueOn(pipe.to_write());
  queue->Push("first\n");
  EXPECT_FALSE(queue->Flush(absl::Milliseconds(10)));
  EXPECT_THAT(LinesOf(pipe.ReadTo("first\n")), ElementsAre("first"));
  EXPECT_EQ(queue->dropped(), 0);
}

// In a child whose stderr is a full pipe: what it prints at its end would wait for ever.
bool in_child = false;

// The log of a process whose stderr is a full pipe. `steps` ends the process.
int StatusOfLogging(SmallPipe* pipe, void (*steps)()) {
  const pid_t child = fork();
  if (child == 0) {
    in_child = true;
    dup2(pipe->to_write(), 2);
    QueueLogLines();
    steps();
    _exit(99);
  }
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(QueuedLogTest, AProcessEndsThoughNobodyReadsItsLog) {
  SmallPipe pipe;
  pipe.Fill();
  EXPECT_EQ(StatusOfLogging(&pipe,
                            [] {
                              for (int i = 0; i < 20000; ++i) Log(LogLevel::kInfo, "chatter");
                              if (DroppedLogLines() == 0) _exit(1);
                              WriteToStderr("refused\n");
                              LogLastWords("the end");
                              std::exit(7);
                            }),
            7);
}

TEST(QueuedLogTest, AtExitEverythingIsThere) {
  SmallPipe pipe;
  EXPECT_EQ(StatusOfLogging(&pipe,
                            [] {
                              Log(LogLevel::kInfo, "first");
                              WriteToStderr("words\n");
                              std::exit(0);
                            }),
            0);
  const std::string text = pipe.ReadTo("words\n");
  EXPECT_THAT(text, HasSubstr("\"message\":\"first\"}\nwords\n"));
}

TEST(QueuedLogTest, AfterTheLastWordsNothingIsWritten) {
  SmallPipe pipe;
  EXPECT_EQ(StatusOfLogging(&pipe,
                            [] {
                              Log(LogLevel::kInfo, "before");
                              LogLastWords("the end");
                              Log(LogLevel::kWarning, "too late");
                              std::exit(7);
                            }),
            7);
  ASSERT_EQ(write(pipe.to_write(), "all\n", 4), 4);
  const std::string text = pipe.ReadTo("all\n");
  EXPECT_THAT(text, HasSubstr("\"message\":\"before\""));
  EXPECT_THAT(text, HasSubstr("\"message\":\"the end\"}\nall\n")) << text;
}

TEST(QueuedLogTest, LastWordsAreThereBeforeAnExitThatRunsNothing) {
  SmallPipe pipe;
  EXPECT_EQ(StatusOfLogging(&pipe,
                            [] {
                              LogLastWords("the end");
                              _exit(70);
                            }),
            70);
  EXPECT_THAT(pipe.ReadTo("}\n"), HasSubstr("\"message\":\"the end\""));
}

TEST(QueuedLogTest, AChildForkedLaterWritesItsOwn) {
  SmallPipe pipe;
  EXPECT_EQ(StatusOfLogging(&pipe,
                            [] {
                              const pid_t child = fork();
                              if (child == 0) {
                                Log(LogLevel::kInfo, "of the child");
                                _exit(0);
                              }
                              int status = 0;
                              waitpid(child, &status, 0);
                              _exit(WEXITSTATUS(status));
                            }),
            0);
  EXPECT_THAT(pipe.ReadTo("}\n"), HasSubstr("of the child"));
}

}  // namespace

bool LeaksAreNotLookedFor();
bool LeaksAreNotLookedFor() { return in_child; }

}  // namespace tollgate::base

// The leak sanitizer asks this of a process that ends; without it nobody does.
extern "C" int __lsan_is_turned_off();
extern "C" int __lsan_is_turned_off() { return tollgate::base::LeaksAreNotLookedFor() ? 1 : 0; }
