// What a service may send down a stream, in any order, and time going on in between: the follower
// neither ends the process nor applies backwards, and grants only on a Pong (R2).
//
// Input: records of one byte of kind and, for a message, two bytes of length and its bytes.
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/random.h"
#include "tests/fuzz/fuzz.h"
#include "tollgate/v1/edge_service.pb.h"
#include "validator/core/follower.h"
#include "validator/core/outbox.h"

namespace tollgate::fuzz {
namespace {

class CountedState : public validator::FollowedState {
 public:
  void Reset(const std::string& epoch, int64_t revision) override { at_ = revision; }
  void Drop(int64_t revision, const v1::Event& event) override {
    FUZZ_CLAIM(revision > at_ || open_ == revision);
    open_ = revision;
  }
  void DropAll(int64_t revision) override { open_ = revision; }
  void LeaseGranted(const lease::HeldLease& lease, base::BootTime now,
                    absl::Time wall_now) override {
    FUZZ_CLAIM(pong_);
    FUZZ_CLAIM(!gone_);
  }
  void SetServiceTime(absl::Time, absl::Duration, base::BootTime) override {}
  void EndLease() override {}
  void Close() override { gone_ = true; }
  void BrandAgreed(bool agreed) override {}
  void FillCounts(v1::Ping* ping) override {}
  bool HoldsHaveNews() const override { return false; }
  bool FillHolds(v1::Ping* ping) override { return false; }
  void StreamEnded() override {}
  absl::Time CollectUse(base::BootTime now) override { return absl::InfinitePast(); }

  bool pong_ = false;

 private:
  int64_t at_ = 0;
  int64_t open_ = 0;
  bool gone_ = false;
};

class Driver {
 public:
  Driver()
      : random_(7),
        outbox_(validator::OutboxOptions()),
        follower_(Options(), &state_, &outbox_, &random_) {
    Take(follower_.Start(now_));
  }

  void Do(absl::string_view input) {
    while (!input.empty()) {
      const uint8_t kind = static_cast<uint8_t>(input[0]);
      input.remove_prefix(1);
      switch (kind % 8) {
        case 0:
          Pass(absl::Milliseconds(10 * (kind / 8)));
          break;
        case 1:
          Pass(absl::Seconds(kind / 8));
          break;
        case 2:
          Take(follower_.OnConnected(stream_, now_));
          break;
        case 3:
          Take(follower_.OnDisconnected(stream_, now_));
          break;
        case 4:
          if (kind == 252) Take(follower_.Goodbye(now_, wall_));
          break;
        default:
          Message(&input);
      }
    }
  }

 private:
  static validator::FollowerOptions Options() {
    validator::FollowerOptions options;
    options.validator_id = "fuzz/edge-1";
    options.incarnation = std::string(16, 'i');
    options.brand = "tg";
    return options;
  }

  void Pass(absl::Duration time) {
    now_ = now_ + time;
    wall_ += time;
    Take(follower_.OnTick(now_, wall_));
  }

  void Message(absl::string_view* input) {
    absl::string_view bytes;
    if (!TakePiece(input, &bytes)) return;
    v1::FollowResponse message;
    if (!message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return;
    const std::string epoch = follower_.epoch();
    const int64_t applied = follower_.applied_revision();
    state_.pong_ = message.has_pong();
    Take(follower_.OnMessage(stream_, message, now_, wall_));
    state_.pong_ = false;
    // Only a Welcome's reset may take what was applied back.
    FUZZ_CLAIM(message.has_welcome() || follower_.applied_revision() >= applied);
    FUZZ_CLAIM(message.has_welcome() || follower_.epoch() == epoch);
  }

  void Take(const validator::FollowerActions& actions) {
    if (actions.connect) stream_ = actions.stream;
    for (const v1::FollowRequest& request : actions.send) FUZZ_CLAIM(request.ByteSizeLong() > 0);
  }

  base::SeededRandom random_;
  CountedState state_;
  validator::Outbox outbox_;
  base::BootTime now_ = base::BootTime::FromNanos(1'000'000'000);
  absl::Time wall_ = absl::FromUnixSeconds(1'700'000'000);
  uint64_t stream_ = 0;
  validator::Follower follower_;
};

}  // namespace
}  // namespace tollgate::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  tollgate::fuzz::Driver().Do(absl::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
