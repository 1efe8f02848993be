// A CheckRequest of any bytes: reads stay inside it, what cannot be read is refused, what is read
// is what protobuf reads, and whatever goes back can be read, changes nothing of a proxy's own, and
// admits only what was admitted.
#include <algorithm>
#include <cstdio>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/string_view.h"
#include "base/secret.h"
#include "envoy/service/auth/v3/external_auth.pb.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/validator/fronts/check_by_protobuf.h"
#include "validator/fronts/ext_authz_message.h"
#include "validator/fronts/ext_authz_reader.h"

namespace tollgate::fuzz {
namespace {

using envoy::service::auth::v3::CheckResponse;
using validator::GateAnswer;

void LookAtHeaders(
    const google::protobuf::RepeatedPtrField<envoy::config::core::v3::HeaderValueOption>& headers) {
  for (const auto& option : headers) {
    const std::string& name = option.header().key();
    FUZZ_CLAIM(!name.empty() && name.front() != ':' && name != "host");
    FUZZ_CLAIM(name == absl::AsciiStrToLower(name));
    const std::string& value = option.header().value();
    FUZZ_CLAIM(!value.empty() && std::all_of(value.begin(), value.end(), absl::ascii_isprint));
    FUZZ_CLAIM(option.has_append() && !option.append().value() && option.append_action() == 2);
  }
}

void LookAtAnswer(const GateAnswer& answer, bool grpc) {
  CheckResponse response;
  FUZZ_CLAIM(response.ParseFromString(validator::WriteCheckResponse(answer, grpc)));
  FUZZ_CLAIM((response.status().code() == 0) == response.has_ok_response());
  if (!response.has_ok_response()) {
    FUZZ_CLAIM(response.has_denied_response());
    FUZZ_CLAIM(response.denied_response().status().code() >= 400);
    LookAtHeaders(response.denied_response().headers());
    return;
  }
  FUZZ_CLAIM(answer.passes);
  const auto& ok = response.ok_response();
  LookAtHeaders(ok.headers());
  LookAtHeaders(ok.response_headers_to_add());
  for (const std::string& removed : ok.headers_to_remove()) {
    FUZZ_CLAIM(removed != "host" && removed.front() != ':');
    for (const auto& set : ok.headers()) FUZZ_CLAIM(set.header().key() != removed);
  }
}

void Look(absl::string_view bytes) {
  const std::string difference = validator::DifferenceFromProtobuf(bytes);
  if (!difference.empty()) std::fprintf(stderr, "%s\n", difference.c_str());
  FUZZ_CLAIM(difference.empty());
  const auto read = validator::ReadCheck(bytes);
  GateAnswer answer;
  bool grpc = false;
  if (read.ok()) {
    FUZZ_CLAIM(read->request.headers.size() <= validator::kMostCheckHeaders);
    grpc = read->grpc;
    // As an answer would have them, were what the client sent to reach it as it is.
    for (const auto& [name, value] : read->request.headers) {
      FUZZ_CLAIM(name.empty() || name.front() != ':');
      answer.upstream_headers.emplace_back(std::string(name), std::string(value));
      answer.client_headers.emplace_back(std::string(name), std::string(value));
      answer.drop_headers.emplace_back(value);
    }
    answer.drop_query.emplace_back(read->request.target);
    answer.reason = std::string(read->request.requirement);
    answer.body = std::string(read->request.method);
  }
  for (const bool passes : {false, true}) {
    for (const int status : {0, 200, 401, 503}) {
      answer.passes = passes;
      answer.status = status;
      LookAtAnswer(answer, grpc);
    }
  }
}

}  // namespace
}  // namespace tollgate::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const bool started = [] {
    tollgate::base::InitSecrets();
    return true;
  }();
  (void)started;
  tollgate::fuzz::Look(absl::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
