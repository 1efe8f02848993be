#include "net/credentials.h"

#include <grpc/grpc_security_constants.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_certificate_verifier.h>
#include <grpcpp/security/tls_credentials_options.h>
#include <grpcpp/support/channel_arguments.h>

#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "absl/types/optional.h"
#include "base/status.h"
#include "net/call_token.h"
#include "net/tls_server.h"
#include "net/user_doors.h"

namespace tollgate::net {
namespace {

using grpc::experimental::CertificateProviderInterface;
using grpc::experimental::ExternalCertificateVerifier;
using grpc::experimental::FileWatcherCertificateProvider;
using grpc::experimental::TlsCustomVerificationCheckRequest;

constexpr unsigned kRefreshSeconds = 1;

std::shared_ptr<CertificateProviderInterface> ProviderFor(const TlsFiles& files) {
  if (files.cert.empty()) {
    return std::make_shared<FileWatcherCertificateProvider>(files.ca, kRefreshSeconds);
  }
  if (files.ca.empty()) {
    return std::make_shared<FileWatcherCertificateProvider>(files.key, files.cert, kRefreshSeconds);
  }
  return std::make_shared<FileWatcherCertificateProvider>(files.key, files.cert, files.ca,
                                                          kRefreshSeconds);
}

// "*.example.com" stands for exactly one label.
bool NameMatches(absl::string_view pattern, absl::string_view name) {
  if (absl::EqualsIgnoreCase(pattern, name)) return true;
  if (!absl::ConsumePrefix(&pattern, "*.") || !absl::StrContains(pattern, ".")) return false;
  const size_t dot = name.find('.');
  return dot != absl::string_view::npos && dot > 0 &&
         absl::EqualsIgnoreCase(name.substr(dot + 1), pattern);
}

absl::string_view View(grpc::string_ref ref) { return absl::string_view(ref.data(), ref.size()); }
std::string Text(grpc::string_ref ref) { return std::string(ref.data(), ref.size()); }

// TLS has verified the chain; this verifies the name in it.
class ServerNameVerifier : public ExternalCertificateVerifier {
 public:
  explicit ServerNameVerifier(ServerIdentity server) : server_(std::move(server)) {}

  bool Verify(TlsCustomVerificationCheckRequest* request, std::function<void(grpc::Status)>,
              grpc::Status* sync_status) override {
    *sync_status = Judge(*request);
    return true;  // decided at once
  }
  void Cancel(TlsCustomVerificationCheckRequest*) override {}

 private:
  grpc::Status Judge(const TlsCustomVerificationCheckRequest& request) const {
    CertificateNames names;
    for (const grpc::string_ref& uri : request.uri_names()) names.uris.push_back(Text(uri));
    for (const grpc::string_ref& dns : request.dns_names()) names.dns.push_back(Text(dns));
    for (const grpc::string_ref& ip : request.ip_names()) names.ips.push_back(Text(ip));
    const absl::Status good = CheckServerNames(names, server_, View(request.target_name()));
    if (good.ok()) return grpc::Status::OK;
    return grpc::Status(grpc::StatusCode::UNAUTHENTICATED, std::string(good.message()));
  }

  const ServerIdentity server_;
};

// The address in gRPC's name of a peer; nullopt: it names none that is known.
absl::optional<Address> AddressOfPeer(absl::string_view peer) {
  if (absl::StartsWith(peer, "unix:") || absl::StartsWith(peer, "unix-abstract:")) {
    Address address;
    address.kind = Address::Kind::kUnix;
    return address;
  }
  // `ipv4:127.0.0.1:4711`, `ipv6:[::1]:4711`, the brackets percent-encoded.
  const std::string plain =
      absl::StrReplaceAll(absl::string_view(peer),
                          {{"%5B", "["}, {"%5b", "["}, {"%5D", "]"}, {"%5d", "]"}, {"%25", "%"}});
  absl::string_view rest = plain;
  if (!absl::ConsumePrefix(&rest, "ipv4:") && !absl::ConsumePrefix(&rest, "ipv6:")) {
    return absl::nullopt;
  }
  absl::StatusOr<Address> address = ParseAddress(rest);
  if (!address.ok()) return absl::nullopt;
  return *std::move(address);
}

}  // namespace

absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> ServerCredentialsFor(
    const TlsFiles& files) {
  if (files.empty()) return grpc::InsecureServerCredentials();
  // At the start a wrong file is an error that names it; later gRPC only fails every handshake.
  RETURN_IF_ERROR(LoadTlsFiles(files).status());
  if (files.cert.empty()) {
    return base::Refuse(absl::StatusCode::kInvalidArgument, "TLS_FILES_INVALID",
                        "an authority for clients was given without a certificate of the server. "
                        "Give a certificate and its key too.");
  }
  grpc::experimental::TlsServerCredentialsOptions options(ProviderFor(files));
  options.watch_identity_key_cert_pairs();
  if (files.ca.empty()) {
    options.set_cert_request_type(GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE);
  } else {
    options.watch_root_certs();
    options.set_cert_request_type(files.optional_clients
                                      ? GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_AND_VERIFY
                                      : GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  }
  return grpc::experimental::TlsServerCredentials(options);
}

absl::Status CheckServerNames(const CertificateNames& names, const ServerIdentity& server,
                              absl::string_view target) {
  if (!server.spiffe_id.empty()) {
    if (names.uris.size() == 1 && names.uris[0] == server.spiffe_id) return absl::OkStatus();
    return absl::UnauthenticatedError(
        absl::StrCat("the server's certificate is not that of ", server.spiffe_id));
  }
  const absl::string_view name =
      server.host_name.empty() ? target : absl::string_view(server.host_name);
  for (const std::string& dns : names.dns) {
    if (NameMatches(dns, name)) return absl::OkStatus();
  }
  for (const std::string& ip : names.ips) {
    if (ip == name) return absl::OkStatus();
  }
  return absl::UnauthenticatedError(
      absl::StrCat("the server's certificate does not bear the name ", name));
}

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> ClientCredentialsFor(
    const TlsFiles& files, bool use_tls, const ServerIdentity& server) {
  if (files.empty() && !use_tls) return grpc::InsecureChannelCredentials();
  RETURN_IF_ERROR(LoadTlsFiles(files).status());
  grpc::experimental::TlsChannelCredentialsOptions options;
  if (!files.empty()) options.set_certificate_provider(ProviderFor(files));
  if (!files.ca.empty()) options.watch_root_certs();
  if (!files.cert.empty()) options.watch_identity_key_cert_pairs();
  options.set_verify_server_certs(true);
  // gRPC's own check knows host names only and fails a certificate that bears only a SPIFFE id.
  options.set_check_call_host(false);
  options.set_certificate_verifier(ExternalCertificateVerifier::Create<ServerNameVerifier>(server));
  return grpc::experimental::TlsCredentials(options);
}

std::shared_ptr<grpc::Channel> MakeChannel(
    const Address& address, const std::shared_ptr<grpc::ChannelCredentials>& credentials,
    const ChannelOptions& options) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS,
                   static_cast<int>(absl::ToInt64Milliseconds(options.keepalive_time)));
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS,
                   static_cast<int>(absl::ToInt64Milliseconds(options.keepalive_timeout)));
  arguments.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  const int min_ms = static_cast<int>(absl::ToInt64Milliseconds(options.min_reconnect_backoff));
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, min_ms);
  // In spite of its name: how long one attempt to connect may take.
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 5000);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS,
                   static_cast<int>(absl::ToInt64Milliseconds(options.max_reconnect_backoff)));
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetMaxReceiveMessageSize(options.max_receive_bytes);
  if (options.own_connection) arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  if (options.token == nullptr) {
    return grpc::CreateCustomChannel(address.ToGrpcTarget(), credentials, arguments);
  }
  return grpc::experimental::CreateCustomChannelWithInterceptors(
      address.ToGrpcTarget(), credentials, arguments, BringToken(options.token));
}

absl::Status CheckPlaintextAllowed(absl::string_view program, const Address& address, bool has_tls,
                                   bool allow_plaintext, absl::string_view listen_flag) {
  if (has_tls || allow_plaintext || address.IsLoopback()) return absl::OkStatus();
  // The socket's name is the product's, as in unix:/run/tollgate.sock for tollgated.
  absl::string_view name = program;
  if (name == "tollgated") name = "tollgate";
  return base::Refuse(
      absl::StatusCode::kFailedPrecondition, "PLAINTEXT_REFUSED",
      absl::StrCat("refusing to serve plaintext on ", address.ToString(),
                   ", which other hosts can reach.\n",
                   "  Give it a certificate:   --tls-cert FILE --tls-key FILE --client-ca FILE\n",
                   "  or keep it on this host: ", listen_flag, " 127.0.0.1:", address.port, " or ",
                   listen_flag, " unix:/run/", name, ".sock\n",
                   "  or, knowing the risk:    --allow-plaintext"));
}

absl::StatusOr<Caller> CallerOf(const grpc::ServerContextBase& context) {
  Caller caller;
  caller.peer = context.peer();
  const absl::optional<Address> address = AddressOfPeer(caller.peer);
  if (address.has_value()) caller.origin = address->is_unix() ? "unix" : address->host;
  const std::shared_ptr<const grpc::AuthContext> auth = context.auth_context();
  std::vector<grpc::string_ref> ids;
  bool has_certificate = false;
  if (auth != nullptr) {
    ids = auth->FindPropertyValues(GRPC_PEER_SPIFFE_ID_PROPERTY_NAME);
    has_certificate = !auth->FindPropertyValues(GRPC_X509_PEM_CERT_PROPERTY_NAME).empty();
    const std::vector<grpc::string_ref> transport =
        auth->FindPropertyValues(GRPC_TRANSPORT_SECURITY_TYPE_PROPERTY_NAME);
    for (const grpc::string_ref& type : transport) {
      if (View(type) == GRPC_SSL_TRANSPORT_SECURITY_TYPE ||
          View(type) == GRPC_TLS_TRANSPORT_SECURITY_TYPE) {
        caller.is_private = true;
      }
    }
  }
  if (address.has_value() && address->IsLoopback()) caller.is_private = true;
  if (ids.size() == 1) {
    caller.kind = Caller::Kind::kSpiffe;
    caller.id = std::string(View(ids[0]));
    return caller;
  }
  if (has_certificate || !ids.empty()) {
    return base::Refuse(absl::StatusCode::kUnauthenticated, "CERTIFICATE_WITHOUT_SPIFFE_ID",
                        "The client certificate does not bear exactly one SPIFFE id. "
                        "Issue one whose only URI name is spiffe://TRUST-DOMAIN/PATH.");
  }
  if (!address.has_value() || !address->IsLoopback()) return caller;
  caller.kind = Caller::Kind::kLocal;
  caller.id = "local";
  const std::vector<grpc::string_ref> users = auth == nullptr
                                                  ? std::vector<grpc::string_ref>()
                                                  : auth->FindPropertyValues(kUnixUserProperty);
  if (users.size() == 1) {
    caller.kind = Caller::Kind::kUnixUser;
    caller.id = std::string(View(users[0]));
  }
  return caller;
}

std::vector<absl::string_view> AuthorizationOf(const grpc::ServerContextBase& context) {
  std::vector<absl::string_view> values;
  const auto [begin, end] = context.client_metadata().equal_range("authorization");
  for (auto it = begin; it != end; ++it) values.push_back(View(it->second));
  return values;
}

}  // namespace tollgate::net
