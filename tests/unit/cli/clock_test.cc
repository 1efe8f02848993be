// tollgate clock: what it shows, and that what is accepted is what was shown.
#include "cli/commands/clock.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/proto_time.h"
#include "tests/unit/cli/outcome.h"
#include "tests/unit/cli/scripted_service.h"

namespace tollgate::cli {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

const absl::Time kService = absl::FromUnixSeconds(1'800'000'000);  // 2027-01-15 08:00:00 UTC
const absl::Time kWall = kService + absl::Hours(24 * 400);

v1::Clock Trusted() {
  v1::Clock clock;
  *clock.mutable_service_time() = base::ToProto(kService);
  *clock.mutable_wall_time() = base::ToProto(kService);
  clock.set_kernel_synchronised(true);
  clock.set_edge_count(198);
  clock.set_agreeing_edge_count(198);
  *clock.mutable_largest_edge_difference() = base::ToProto(absl::Milliseconds(312));
  return clock;
}

v1::Clock InDoubt() {
  v1::Clock clock = Trusted();
  *clock.mutable_wall_time() = base::ToProto(kWall);
  clock.set_doubt(v1::CLOCK_DOUBT_STEPPED);
  clock.set_explanation("the wall clock was set: it is 400 days ahead of the service's time");
  *clock.mutable_doubted_for() = base::ToProto(absl::Seconds(250));
  clock.set_kernel_synchronised(false);
  clock.set_agreeing_edge_count(0);
  return clock;
}

TEST(ClockText, SaysWhatIsKnown) {
  EXPECT_EQ(ClockText(Trusted()),
            "clock        trusted\n"
            "service time 2027-01-15 08:00:00 UTC   what expiry, lists, edges and the audit log go "
            "by\n"
            "wall clock   2027-01-15 08:00:00 UTC\n"
            "kernel       synchronised\n"
            "edges        198 of 198 agree with the wall clock (largest difference 312 ms)\n");
}

TEST(ClockText, SaysWhyItIsInDoubtAndHowThatEnds) {
  const std::string text = ClockText(InDoubt());
  EXPECT_THAT(text, HasSubstr("clock        in doubt for 4 min: the wall clock was set"));
  EXPECT_THAT(text, HasSubstr("wall clock   2028-02-19 08:00:00 UTC   400 days ahead\n"));
  EXPECT_THAT(text, HasSubstr("revoking works"));
  EXPECT_THAT(text, HasSubstr("tollgate clock accept\n"));
}

class ClockCommand : public testing::Test {
 protected:
  ClockCommand() {
    service_.clock.Script([this](int, const auto&, auto* response) {
      *response = clock_;
      return grpc::Status::OK;
    });
    service_.accept_clock.Script([](int, const auto& request, auto* response) {
      *response->mutable_clock()->mutable_service_time() = request.wall_time();
      response->set_revision(17);
      return grpc::Status::OK;
    });
  }
  Outcome Run(std::vector<std::string> arguments, const std::string& input = "",
              bool terminal = false) {
    arguments.insert(arguments.begin(), {"--service", service_.address(), "clock"});
    return Tollgate(arguments, input, terminal);
  }
  ScriptedService service_;
  v1::Clock clock_ = InDoubt();
};

TEST_F(ClockCommand, StatusShowsIt) {
  EXPECT_EQ(Run({"status"}).out, ClockText(InDoubt()));
  EXPECT_EQ(Run({"status", "-q"}).out, "in doubt\n");
  EXPECT_THAT(Run({"status", "-o", "json"}).out, HasSubstr("\"doubt\": \"stepped\""));
}

TEST_F(ClockCommand, WhoAcceptsAtATerminalIsShownWhat) {
  const Outcome no = Run({"accept"}, "n\n", true);
  EXPECT_EQ(no.code, 7);
  EXPECT_THAT(no.err, HasSubstr("Is it 2028-02-19 08:00:00 UTC?"));
  EXPECT_THAT(service_.accept_clock.asked(), IsEmpty());
  const Outcome yes = Run({"accept"}, "y\n", true);
  EXPECT_EQ(yes.code, 0) << yes.err;
  EXPECT_THAT(yes.out, HasSubstr("accepted     2028-02-19 08:00:00 UTC"));
  ASSERT_EQ(service_.accept_clock.asked().size(), 1);
  EXPECT_EQ(base::FromProto(service_.accept_clock.asked()[0].wall_time()), kWall);
}

TEST_F(ClockCommand, WithoutATerminalTheTimeIsNamed) {
  const Outcome unnamed = Run({"accept"});
  EXPECT_EQ(unnamed.code, 2);
  EXPECT_THAT(unnamed.err, HasSubstr("--time"));
  EXPECT_THAT(service_.accept_clock.asked(), IsEmpty());
  const Outcome named = Run({"accept", "--time", "2028-02-19T08:01:00Z"});
  EXPECT_EQ(named.code, 0) << named.err;
  EXPECT_EQ(base::FromProto(service_.accept_clock.asked().at(0).wall_time()),
            kWall + absl::Minutes(1));
}

TEST_F(ClockCommand, NothingInDoubtAsksNothing) {
  clock_ = Trusted();
  EXPECT_EQ(Run({"status", "-q"}).out, "trusted\n");
  EXPECT_THAT(Run({"accept"}, "", true).err, Not(HasSubstr("Is it")));
  EXPECT_EQ(service_.accept_clock.asked().size(), 1) << "it is the service that refuses";
}

}  // namespace
}  // namespace tollgate::cli
