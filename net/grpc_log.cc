#include "net/grpc_log.h"

#include <grpc/support/log.h>

#include <cstdint>
#include <cstdlib>

#include "absl/base/attributes.h"
#include "absl/base/const_init.h"
#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/log.h"

namespace tollgate::net {
namespace {

// How many lines may still be written in this second.
class Allowance {
 public:
  constexpr Allowance() = default;

  // Whether this line may be written; if so, *left_out is the number of lines that were left out
  // since the last written one.
  bool Take(int64_t* left_out) ABSL_LOCKS_EXCLUDED(mu_) {
    const int64_t second = absl::ToUnixSeconds(absl::Now());
    absl::MutexLock lock(&mu_);
    if (second != second_) {
      second_ = second;
      written_ = 0;
    }
    if (written_ >= kMostGrpcLinesASecond) {
      ++left_out_;
      return false;
    }
    ++written_;
    *left_out = left_out_;
    left_out_ = 0;
    return true;
  }

 private:
  absl::Mutex mu_{absl::kConstInit};
  int64_t second_ ABSL_GUARDED_BY(mu_) = 0;
  int written_ ABSL_GUARDED_BY(mu_) = 0;
  int64_t left_out_ ABSL_GUARDED_BY(mu_) = 0;
};

// gRPC's threads may log until the process is gone.
ABSL_CONST_INIT Allowance allowance;

void WriteLine(gpr_log_func_args* line) {
  int64_t left_out = 0;
  if (!allowance.Take(&left_out)) return;
  const base::LogLevel level = line->severity == GPR_LOG_SEVERITY_ERROR  ? base::LogLevel::kWarning
                               : line->severity == GPR_LOG_SEVERITY_INFO ? base::LogLevel::kInfo
                                                                         : base::LogLevel::kDebug;
  absl::string_view file = line->file;
  file = file.substr(file.rfind('/') + 1);  // npos + 1 is 0
  const std::string place = absl::StrCat(file, ":", line->line);
  if (left_out == 0) {
    base::Log(level, line->message, {{"grpc", place}});
  } else {
    base::Log(level, line->message, {{"grpc", place}, {"left_out", left_out}});
  }
}

void WriteNothing(gpr_log_func_args* /*line*/) {}

}  // namespace

void LogWhatGrpcSays() { gpr_set_log_function(WriteLine); }

void SilenceGrpc() {
  if (std::getenv("GRPC_VERBOSITY") == nullptr) gpr_set_log_function(WriteNothing);
}

}  // namespace tollgate::net
