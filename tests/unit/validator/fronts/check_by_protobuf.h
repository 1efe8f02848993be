// Envoy's question read by protobuf, beside which the front's own reader must stand: what the tests
// of the reader and its fuzz target share.
#ifndef TOLLGATE_TESTS_UNIT_VALIDATOR_FRONTS_CHECK_BY_PROTOBUF_H_
#define TOLLGATE_TESTS_UNIT_VALIDATOR_FRONTS_CHECK_BY_PROTOBUF_H_

#include <google/protobuf/descriptor.h>
#include <google/protobuf/stubs/logging.h>
#include <google/protobuf/unknown_field_set.h>

#include <algorithm>
#include <functional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "base/ip_address.h"
#include "base/status.h"
#include "envoy/service/auth/v3/external_auth.pb.h"
#include "validator/fronts/ext_authz_reader.h"

namespace tollgate::validator {

// What a question says, as values.
struct CheckByProtobuf {
  std::string method;
  std::string host;
  std::string target;
  std::string requirement;
  std::string client;
  bool grpc = false;
  std::vector<std::pair<std::string, std::string>> headers;

  friend bool operator==(const CheckByProtobuf&, const CheckByProtobuf&) = default;
};

inline CheckByProtobuf ValuesOf(const CheckedRequest& read) {
  CheckByProtobuf values;
  values.method = std::string(read.request.method);
  values.host = std::string(read.request.host);
  values.target = std::string(read.request.target);
  values.requirement = std::string(read.request.requirement);
  if (!read.request.client.empty()) values.client = read.request.client.text();
  values.grpc = read.grpc;
  for (const auto& [name, value] : read.request.headers) values.headers.emplace_back(name, value);
  return values;
}

// What ReadCheck says of the same message, as far as protobuf can tell it.
inline absl::StatusOr<CheckByProtobuf> ReadByProtobuf(
    const envoy::service::auth::v3::CheckRequest& message) {
  const auto& attributes = message.attributes();
  const auto& http = attributes.request().http();
  const auto& lines = http.header_map().headers();
  if (!attributes.request().has_http()) return absl::InvalidArgumentError("no http");
  if (!http.headers().empty() && !lines.empty()) return absl::InvalidArgumentError("both forms");
  if (static_cast<size_t>(http.headers_size() + lines.size()) > kMostCheckHeaders) {
    return absl::InvalidArgumentError("too many headers");
  }
  if (!http.query().empty()) return absl::InvalidArgumentError("a query");
  CheckByProtobuf values;
  const auto add = [&values](const std::string& name, const std::string& value) {
    if (absl::StartsWith(name, ":")) return;
    if (absl::EqualsIgnoreCase(name, "content-type")) {
      absl::string_view rest = value;
      if (absl::ConsumePrefix(&rest, "application/grpc") &&
          (rest.empty() || rest[0] == '+' || rest[0] == ';')) {
        values.grpc = true;
      }
    }
    values.headers.emplace_back(name, value);
  };
  for (const auto& entry : http.headers()) add(entry.key(), entry.value());
  for (const auto& line : lines) {
    if (!line.value().empty() && !line.raw_value().empty()) {
      return absl::InvalidArgumentError("both values");
    }
    add(line.key(), line.value() + line.raw_value());
  }
  for (const auto& entry : attributes.context_extensions()) {
    std::string folded = absl::AsciiStrToLower(absl::StripAsciiWhitespace(entry.key()));
    std::replace(folded.begin(), folded.end(), '-', '_');
    if (!absl::StartsWith(folded, "tollgate_")) continue;
    if (entry.key() != kRequirementExtension || entry.value().empty() ||
        !values.requirement.empty()) {
      return absl::InvalidArgumentError("an extension");
    }
    values.requirement = entry.value();
  }
  values.method = http.method();
  values.host = http.host();
  values.target = http.path();
  const base::IpAddress client =
      base::IpAddress::FromText(attributes.source().address().socket_address().address());
  if (!client.empty()) values.client = client.text();
  return values;
}

// Whether the reader may refuse what protobuf reads: a field comes twice that `type` has once, or
// not as the contract's type; there is a group; or a tag or a length is not in its shortest form,
// as one of more than 32 bits is not.
inline bool MayBeRefused(absl::string_view bytes, const google::protobuf::Descriptor& type) {
  google::protobuf::UnknownFieldSet fields;
  if (!fields.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return false;
  std::string shortest;
  if (!fields.SerializeToString(&shortest) || shortest != bytes) return true;
  std::set<int> seen;
  for (int i = 0; i < fields.field_count(); ++i) {
    const google::protobuf::UnknownField& field = fields.field(i);
    if (field.type() == google::protobuf::UnknownField::TYPE_GROUP) return true;
    const google::protobuf::FieldDescriptor* const known = type.FindFieldByNumber(field.number());
    if (known == nullptr) continue;
    if (field.type() != google::protobuf::UnknownField::TYPE_LENGTH_DELIMITED) return true;
    if (!known->is_repeated() && !seen.insert(field.number()).second) return true;
    if (known->message_type() != nullptr &&
        MayBeRefused(field.length_delimited(), *known->message_type())) {
      return true;
    }
  }
  return false;
}

// Whether all that was read lies in `bytes`.
inline bool LiesIn(absl::string_view bytes, const CheckedRequest& read) {
  const auto within = [bytes](absl::string_view part) {
    const std::less_equal<const char*> before;
    return part.empty() || (before(bytes.data(), part.data()) &&
                            before(part.data() + part.size(), bytes.data() + bytes.size()));
  };
  return within(read.request.method) && within(read.request.host) && within(read.request.target) &&
         within(read.request.requirement) &&
         std::all_of(read.headers.begin(), read.headers.end(), [&](const policy::Header& header) {
           return within(header.first) && within(header.second);
         });
}

// In what ReadCheck is not what it says it is, beside protobuf and by `bytes`; empty: in nothing.
inline std::string DifferenceFromProtobuf(absl::string_view bytes) {
  const google::protobuf::LogSilencer quiet;  // it tells of each name that is not UTF-8
  envoy::service::auth::v3::CheckRequest message;
  const bool parsed = message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
  const absl::StatusOr<CheckedRequest> read = ReadCheck(bytes);
  absl::StatusOr<CheckByProtobuf> want = absl::InvalidArgumentError("no message");
  if (parsed) want = ReadByProtobuf(message);
  if (read.ok()) {
    if (!LiesIn(bytes, *read)) return "it reads what is not in the bytes";
    if (!want.ok()) return absl::StrCat("it reads what it must refuse: ", want.status().message());
    return ValuesOf(*read) == *want ? "" : "it reads something else";
  }
  if (base::ReasonOf(read.status()) != "MALFORMED_REQUEST") return "it refuses in other words";
  if (!want.ok()) return "";
  const std::string why(read.status().message());
  if (!MayBeRefused(bytes, *message.GetDescriptor())) return "it refuses without need: " + why;
  // What protobuf understood is read where it is said plainly.
  message.DiscardUnknownFields();
  const std::string plain = message.SerializeAsString();
  const absl::StatusOr<CheckedRequest> again = ReadCheck(plain);
  return again.ok() && ValuesOf(*again) == *want ? "" : "it does not read what protobuf writes";
}

}  // namespace tollgate::validator

#endif  // TOLLGATE_TESTS_UNIT_VALIDATOR_FRONTS_CHECK_BY_PROTOBUF_H_
