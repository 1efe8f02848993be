#include "validator/fronts/ext_authz_message.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/secret.h"
#include "base/status.h"

namespace tollgate::validator {
namespace {

using envoy::config::core::v3::HeaderValue;
using envoy::config::core::v3::HeaderValueOption;
using envoy::service::auth::v3::AttributeContext;
using envoy::service::auth::v3::CheckRequest;
using envoy::service::auth::v3::CheckResponse;
using google::protobuf::Struct;
using OptionHeaders = google::protobuf::RepeatedPtrField<HeaderValueOption>;

constexpr absl::string_view kOurExtensions = "tollgate_";

absl::Status Malformed(absl::string_view message) {
  return base::Refuse(absl::StatusCode::kInvalidArgument, "MALFORMED_REQUEST", message);
}

// As Envoy tells gRPC from what only begins like it, such as gRPC-Web.
bool IsGrpc(absl::string_view content_type) {
  if (!absl::ConsumePrefix(&content_type, "application/grpc")) return false;
  return content_type.empty() || content_type.front() == '+' || content_type.front() == ';';
}

void AddHeader(absl::string_view name, absl::string_view value, CheckedRequest* read) {
  if (absl::StartsWith(name, ":")) return;  // told by method, host and path
  if (absl::EqualsIgnoreCase(name, "content-type") && IsGrpc(value)) read->grpc = true;
  read->headers.emplace_back(name, value);
}

absl::Status ReadHeaders(const AttributeContext::HttpRequest& http, CheckedRequest* read) {
  const auto& lines = http.header_map().headers();
  if (http.headers_size() > 0 && !lines.empty()) {
    return Malformed("The request tells its headers twice: in `headers` and in `header_map`.");
  }
  const auto count = static_cast<size_t>(std::max(http.headers_size(), lines.size()));
  if (count > kMostCheckHeaders) {
    return Malformed(absl::StrCat("The request has more than ", kMostCheckHeaders, " headers."));
  }
  read->headers.reserve(count);
  for (const AttributeContext::Entry& entry : http.headers()) {
    AddHeader(entry.key(), entry.value(), read);
  }
  for (const HeaderValue& line : lines) {
    if (!line.value().empty() && !line.raw_value().empty()) {
      return Malformed("A header has both `value` and `raw_value`.");
    }
    AddHeader(line.key(), line.raw_value().empty() ? line.value() : line.raw_value(), read);
  }
  return absl::OkStatus();
}

// Whether a key begins as ours do, in any case, with dashes for underscores, or after a space.
bool LooksLikeOurs(absl::string_view key) {
  std::string folded = absl::AsciiStrToLower(absl::StripAsciiWhitespace(key));
  std::replace(folded.begin(), folded.end(), '-', '_');
  return absl::StartsWith(folded, kOurExtensions);
}

// A mistyped extension must not leave a route with less than its configuration asks for.
absl::Status ReadExtensions(const AttributeContext& attributes, policy::Request* request) {
  for (const AttributeContext::Entry& entry : attributes.context_extensions()) {
    if (!LooksLikeOurs(entry.key())) continue;
    if (entry.key() != kRequirementExtension) {
      return Malformed(absl::StrCat("The context extension is not known here; write `",
                                    kRequirementExtension, "`."));
    }
    if (entry.value().empty() || !request->requirement.empty()) {
      return Malformed(absl::StrCat("The context extension `", kRequirementExtension,
                                    "` must name one requirement."));
    }
    request->requirement = entry.value();
  }
  return absl::OkStatus();
}

// The gRPC status of a refusal's HTTP status; UNKNOWN: no refusal has it.
absl::StatusCode CodeOf(int http_status) {
  switch (http_status) {
    case 400:
      return absl::StatusCode::kInvalidArgument;
    case 401:
      return absl::StatusCode::kUnauthenticated;
    case 403:
      return absl::StatusCode::kPermissionDenied;
    case 404:
      return absl::StatusCode::kNotFound;
    case 500:
      return absl::StatusCode::kInternal;
    case 503:
      return absl::StatusCode::kUnavailable;
    default:
      return absl::StatusCode::kUnknown;
  }
}

// Envoy parses values as UTF-8, and takes neither line ends nor NUL.
bool IsPlain(absl::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return absl::ascii_isprint(c); });
}
// A body may have lines.
bool IsText(absl::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return absl::ascii_isprint(c) || c == '\n'; });
}
bool IsReadable(const std::pair<std::string, std::string>& header) {
  return !header.first.empty() && IsPlain(header.first) && IsPlain(header.second) &&
         header.first.find_first_of(": ") == std::string::npos &&
         !absl::EqualsIgnoreCase(header.first, "host");  // by which the proxy may route
}
bool IsReadable(const GateAnswer::Headers& headers) {
  return std::all_of(headers.begin(), headers.end(),
                     [](const auto& header) { return IsReadable(header); });
}

// Both forms, because what Envoy does where one is not set has changed between its versions.
void SetHeader(absl::string_view name, absl::string_view value, OptionHeaders* headers) {
  HeaderValueOption* option = headers->Add();
  option->mutable_header()->set_key(absl::AsciiStrToLower(name));
  option->mutable_header()->set_value(std::string(value));
  option->mutable_append()->set_value(false);
  option->set_append_action(HeaderValueOption::OVERWRITE_IF_EXISTS_OR_ADD);
}

// Of the client's headers these are the answer's alone: on an admitted request they would speak for
// the service behind.
bool IsOfRefusals(absl::string_view name) {
  for (const absl::string_view of_refusals :
       {"cache-control", "content-length", "content-type", "retry-after", "www-authenticate"}) {
    if (absl::EqualsIgnoreCase(name, of_refusals)) return true;
  }
  return false;
}

void FillOk(const GateAnswer& answer, envoy::service::auth::v3::OkHttpResponse* ok) {
  std::vector<std::string> remove;
  std::vector<std::string> set;
  for (const auto& [name, value] : answer.upstream_headers) {
    std::string lower = absl::AsciiStrToLower(name);
    // Envoy drops a header without a value, and would leave the client's in its place.
    if (value.empty()) {
      remove.push_back(std::move(lower));
      continue;
    }
    SetHeader(name, value, ok->mutable_headers());
    set.push_back(std::move(lower));
  }
  for (const std::string& name : answer.drop_headers) remove.push_back(absl::AsciiStrToLower(name));
  const auto has = [](const auto& names, const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  for (const std::string& name : remove) {
    // Envoy removes after it has set, and never these.
    if (name.empty() || name.front() == ':' || name == "host") continue;
    if (has(set, name) || has(ok->headers_to_remove(), name)) continue;
    ok->add_headers_to_remove(name);
  }
  for (const std::string& name : answer.drop_query) ok->add_query_parameters_to_remove(name);
  for (const auto& [name, value] : answer.client_headers) {
    if (IsOfRefusals(name) || value.empty()) continue;
    SetHeader(name, value, ok->mutable_response_headers_to_add());
  }
}

void FillDenied(const GateAnswer& answer, int status, bool grpc,
                envoy::service::auth::v3::DeniedHttpResponse* denied) {
  denied->mutable_status()->set_code(status);
  bool typed = false;
  for (const auto& [name, value] : answer.client_headers) {
    const bool type = absl::EqualsIgnoreCase(name, "content-type");
    // A gRPC status has a type of its own, which not every proxy would keep.
    if (value.empty() || (type && grpc)) continue;
    typed = typed || type;
    SetHeader(name, value, denied->mutable_headers());
  }
  if (grpc) {
    denied->set_body(answer.reason);  // the status's message
    return;
  }
  if (!typed) SetHeader("content-type", "application/problem+json", denied->mutable_headers());
  denied->set_body(answer.body);
}

void SetText(const std::string& key, absl::string_view text, Struct* metadata) {
  if (!text.empty()) (*metadata->mutable_fields())[key].set_string_value(std::string(text));
}

// What Envoy's later filters and its access log may know.
void FillMetadata(const GateAnswer& answer, Struct* metadata) {
  const tollgate::v1::Identity& identity = answer.identity;
  const absl::string_view token = identity.token();
  SetText("workspace", identity.workspace(), metadata);
  SetText("token_id", token.substr(token.rfind('/') + 1), metadata);
  SetText("owner", identity.owner(), metadata);
  SetText("reason", answer.reason, metadata);
  if (!identity.annotations().empty()) {
    Struct* annotations = (*metadata->mutable_fields())["annotations"].mutable_struct_value();
    for (const auto& [key, value] : identity.annotations()) SetText(key, value, annotations);
  }
  if (identity.scopes().empty()) return;
  auto* scopes = (*metadata->mutable_fields())["scopes"].mutable_list_value();
  for (const std::string& scope : identity.scopes()) {
    scopes->add_values()->set_string_value(scope);
  }
}

bool IsReadable(const GateAnswer& answer) {
  return IsReadable(answer.upstream_headers) && IsReadable(answer.client_headers) &&
         std::all_of(answer.drop_headers.begin(), answer.drop_headers.end(), IsPlain) &&
         std::all_of(answer.drop_query.begin(), answer.drop_query.end(), IsPlain) &&
         IsText(answer.body) && IsPlain(answer.reason);
}

}  // namespace

absl::StatusOr<CheckedRequest> ReadCheck(const CheckRequest& message) {
  const AttributeContext& attributes = message.attributes();
  if (!attributes.request().has_http()) return Malformed("No request of HTTP is in it.");
  const AttributeContext::HttpRequest& http = attributes.request().http();
  CheckedRequest read;
  RETURN_IF_ERROR(ReadHeaders(http, &read));
  RETURN_IF_ERROR(ReadExtensions(attributes, &read.request));
  if (!http.query().empty()) return Malformed("A query is told beside the path.");
  read.request.method = http.method();
  read.request.host = http.host();
  read.request.target = http.path();
  read.request.headers = read.headers;
  read.request.client =
      base::IpAddress::FromText(attributes.source().address().socket_address().address());
  return read;
}

void FillCheckResponse(const GateAnswer& answer, bool grpc, CheckResponse* response) {
  const bool readable = IsReadable(answer);
  if (answer.passes && readable) {
    response->mutable_status()->set_code(0);
    FillOk(answer, response->mutable_ok_response());
  } else {
    const bool known = !answer.passes && CodeOf(answer.status) != absl::StatusCode::kUnknown;
    const int status = known ? answer.status : 503;
    response->mutable_status()->set_code(static_cast<int>(CodeOf(status)));
    if (readable) response->mutable_status()->set_message(answer.reason);
    FillDenied(readable ? answer : GateAnswer(), status, grpc, response->mutable_denied_response());
  }
  if (readable) FillMetadata(answer, response->mutable_dynamic_metadata());
}

void WipeCheck(CheckRequest* message) {
  auto* http = message->mutable_attributes()->mutable_request()->mutable_http();
  for (AttributeContext::Entry& entry : *http->mutable_headers()) {
    base::WipeString(entry.mutable_value());
  }
  for (HeaderValue& line : *http->mutable_header_map()->mutable_headers()) {
    base::WipeString(line.mutable_value());
    base::WipeString(line.mutable_raw_value());
  }
  for (std::string* text : {http->mutable_path(), http->mutable_query(), http->mutable_body(),
                            http->mutable_raw_body()}) {
    base::WipeString(text);
  }
}

}  // namespace tollgate::validator
