// What the front for Envoy does with one question beside the wire: reads its bytes, judges the
// request, looks the token up, and writes the answer's bytes. The wire is bench/envoy.py's.
//
//   ext_authz_bench [N]     asks N times (100,000), and prints the time of one
//
// Of two builds compare instructions, which other programs do not change:
//   valgrind --tool=callgrind --toggle-collect='*AskMany*' ext_authz_bench 2000
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/random.h"
#include "base/secret.h"
#include "envoy/service/auth/v3/external_auth.pb.h"
#include "grpcpp/support/byte_buffer.h"
#include "policy/policy.h"
#include "validator/core/validator.h"
#include "validator/fronts/ext_authz_message.h"
#include "validator/fronts/ext_authz_reader.h"
#include "validator/fronts/gate.h"
#include "validator/fronts/presented.h"

namespace tollgate::bench {
namespace {

using envoy::service::auth::v3::CheckRequest;

constexpr char kPolicy[] = R"(version: 1
answers: {realm: example, tell_before_expiry: 72h}
routes:
  - {path: /healthz, methods: GET, needs: public}
  - {path: "/v1/{workspace}/items", needs: {any: [items:read], workspace: "{workspace}"}}
  - {prefix: /v1/deploys, methods: [POST, DELETE], needs: {any: [deploy:write, admin]}}
  - {prefix: /v1, needs: token}
)";

class OnePolicy final : public validator::PolicySource {
 public:
  OnePolicy() : policy_(policy::Policy::Parse(kPolicy, "policy.yaml").value()) {}
  std::shared_ptr<const policy::Policy> Current() const override { return policy_; }

 private:
  const std::shared_ptr<const policy::Policy> policy_;
};

// A validator in sync, with a long lease, that holds one token.
class Edge {
 public:
  Edge() {
    validator::ValidatorOptions options;
    options.follower.validator_id = "bench";
    validator_ = validator::Validator::Create(
                     options, base::SystemClock(), base::SystemRandom(),
                     [this](const tollgate::v1::ResolveRequest&, auto answer) { answer(answer_); })
                     .value();
    const uint64_t stream = validator_->Start().stream;
    validator_->StreamConnected(stream);
    tollgate::v1::FollowResponse message;
    message.mutable_welcome()->set_epoch("e");
    message.mutable_welcome()->set_revision(1);
    message.mutable_welcome()->set_reset(true);
    message.mutable_welcome()->mutable_ping_interval()->set_seconds(500);
    uint64_t sequence = 0;
    for (const auto& sent : validator_->StreamMessage(stream, message).send) {
      if (sent.has_ping()) sequence = sent.ping().sequence();
    }
    message.Clear();
    message.mutable_pong()->set_sequence(sequence);
    message.mutable_pong()->set_revision(1);
    message.mutable_pong()->mutable_lease()->set_seconds(599);
    message.mutable_pong()->mutable_service_time()->set_seconds(1'800'000'000);
    validator_->StreamMessage(stream, message);
    const token::TokenFormat::Minted minted =
        token::TokenFormat().Mint(token::TokenKind::kWorkspace, base::SystemRandom());
    token_ = std::string(minted.token_string.RevealSecret());
    answer_.set_epoch("e");
    answer_.set_revision(1);
    tollgate::v1::Grant& grant = *answer_.mutable_grant();
    grant.set_workspace("acme");
    grant.set_token_id(minted.public_id);
    grant.set_token("workspaces/acme/tokens/" + minted.public_id);
    grant.set_owner("team-a");
    grant.set_state(tollgate::v1::TOKEN_STATE_ACTIVE);
    grant.add_scopes("items:read");
    grant.set_create_revision(1);
    grant.mutable_expire_time()->set_seconds(1'890'000'000);
    validator_->CheckAsync(token_, token::Requirement(), [](const validator::Decision&) {});
  }
  validator::Validator* validator() { return validator_.get(); }
  const std::string& token() const { return token_; }

 private:
  std::unique_ptr<validator::Validator> validator_;
  tollgate::v1::ResolveResponse answer_;
  std::string token_;
};

// As Envoy 1.40 asks on the recipe's file, with encode_raw_headers.
std::string Question(const std::string& token) {
  CheckRequest message;
  auto* attributes = message.mutable_attributes();
  auto* http = attributes->mutable_request()->mutable_http();
  http->set_method("GET");
  http->set_host("127.0.0.1:10000");
  http->set_path("/v1/acme/items");
  auto* from = attributes->mutable_source()->mutable_address()->mutable_socket_address();
  from->set_address("127.0.0.1");
  // What our copy of the contract leaves out: id, scheme, size, protocol; time; the source's port;
  // destination.
  auto* of_http = http->GetReflection()->MutableUnknownFields(http);
  of_http->AddLengthDelimited(1, "1234567890123456789");
  of_http->AddLengthDelimited(6, "http");
  of_http->AddVarint(9, ~uint64_t{0});
  of_http->AddLengthDelimited(10, "HTTP/1.1");
  auto* request = attributes->mutable_request();
  request->GetReflection()->MutableUnknownFields(request)->AddLengthDelimited(1, "0123456789");
  auto* of_attributes = attributes->GetReflection()->MutableUnknownFields(attributes);
  from->GetReflection()->MutableUnknownFields(from)->AddVarint(3, 43210);
  of_attributes->AddLengthDelimited(2, std::string(20, 'd'));
  for (const auto& [name, value] : std::initializer_list<std::pair<const char*, std::string>>{
           {":authority", "127.0.0.1:10000"},
           {":path", "/v1/acme/items"},
           {":method", "GET"},
           {":scheme", "http"},
           {"authorization", absl::StrCat("Bearer ", token)},
           {"x-forwarded-proto", "http"},
           {"x-request-id", "7c0a2e0c-9f5d-4f7e-9b0e-2f3f1a0d9c11"}}) {
    auto* line = http->mutable_header_map()->add_headers();
    line->set_key(name);
    line->set_raw_value(value);
  }
  return message.SerializeAsString();
}

// What ExtAuthzFront does between the wire and the wire.
size_t AskOnce(validator::Gate* gate, const std::string& question) {
  // A copy, since what was read is wiped.
  const grpc::Slice slice(question);
  const grpc::ByteBuffer bytes(&slice, 1);
  size_t size = 0;
  const validator::RequestBytes held(bytes);
  const auto read = validator::ReadCheck(held.view());
  if (!read.ok()) std::abort();
  gate->Ask(read->request, [&](const validator::GateAnswer& answer) {
    if (!answer.passes) std::abort();
    const grpc::Slice sent(validator::WriteCheckResponse(answer, read->grpc));
    size = grpc::ByteBuffer(&sent, 1).Length();
  });
  return size;
}

__attribute__((noinline)) size_t AskMany(validator::Gate* gate, const std::string& question,
                                         int times) {
  size_t sum = 0;
  for (int i = 0; i < times; ++i) sum += AskOnce(gate, question);
  return sum;
}

int Main(int times) {
  base::InitSecrets();
  Edge edge;
  const OnePolicy policies;
  validator::Gate gate(edge.validator(), &policies);
  const std::string question = Question(edge.token());
  AskMany(&gate, question, 1);
  const auto begun = std::chrono::steady_clock::now();
  const size_t bytes = AskMany(&gate, question, times);
  const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - begun;
  std::cout << "one question: " << took.count() / times << " us, " << question.size()
            << " bytes asked, " << bytes / static_cast<size_t>(times) << " answered\n";
  return 0;
}

}  // namespace
}  // namespace tollgate::bench

int main(int argc, char** argv) {
  const int times = argc > 1 ? std::atoi(argv[1]) : 100'000;
  return times > 0 ? tollgate::bench::Main(times) : 2;
}
