#include "net/tls_server.h"

#include <openssl/asn1.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/stat.h>

#include <chrono>
#include <cstring>
#include <ctime>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status.h"
#include "base/thread.h"
#include "net/credentials.h"

namespace tollgate::net {
namespace {

// TLS 1.2's; those of 1.3 are all good.
constexpr char kCiphers[] =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
constexpr unsigned char kProtocols[] = "\x08http/1.1";
// For how long a session may be resumed. One that was begun before new files came never is.
constexpr long kSessionSeconds = 300;

absl::Status FilesInvalid(absl::string_view what) {
  std::string why;
  if (const unsigned long code = ERR_get_error(); code != 0) {
    const char* const reason = ERR_reason_error_string(code);
    why = ERR_SYSTEM_ERROR(code) ? absl::StrCat(": ", std::strerror(ERR_GET_REASON(code)))
          : reason != nullptr    ? absl::StrCat(": ", reason)
                                 : "";
  }
  ERR_clear_error();
  return base::Refuse(absl::StatusCode::kFailedPrecondition, "TLS_FILES_INVALID",
                      absl::StrCat(what, why));
}

// A client that names protocols, and not this one, would speak another.
int ChooseProtocol(SSL*, const unsigned char** out, unsigned char* out_size,
                   const unsigned char* offered, unsigned int offered_size, void*) {
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_size, kProtocols, sizeof(kProtocols) - 1, offered,
                            offered_size) != OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  }
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

absl::Time ExpiryOf(SSL_CTX* context) {
  std::tm tm{};
  const X509* const leaf = SSL_CTX_get0_certificate(context);
  if (leaf == nullptr || ASN1_TIME_to_tm(X509_get0_notAfter(leaf), &tm) != 1) {
    return absl::UnixEpoch();
  }
  return absl::FromTM(tm, absl::UTCTimeZone());
}

int64_t Nanos(const timespec& time) {
  return static_cast<int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

}  // namespace

absl::StatusOr<std::shared_ptr<SSL_CTX>> LoadTlsFiles(const TlsFiles& files) {
  if (files.cert.empty() != files.key.empty()) {
    return base::Refuse(
        absl::StatusCode::kInvalidArgument, "TLS_FILES_INVALID",
        absl::StrCat("a TLS ", files.cert.empty() ? "key" : "certificate",
                     " was given without its ", files.cert.empty() ? "certificate" : "key",
                     ". Give both, or neither."));
  }
  ERR_clear_error();
  std::shared_ptr<SSL_CTX> context(SSL_CTX_new(TLS_method()), SSL_CTX_free);
  if (context == nullptr) return FilesInvalid("OpenSSL did not start");
  // A key that wants a passphrase would otherwise ask the terminal for it.
  SSL_CTX_set_default_passwd_cb(context.get(), [](char*, int, int, void*) { return -1; });
  if (!files.cert.empty()) {
    if (SSL_CTX_use_certificate_chain_file(context.get(), files.cert.c_str()) != 1) {
      return FilesInvalid(absl::StrCat("cannot read a PEM certificate chain from ", files.cert));
    }
    if (SSL_CTX_use_PrivateKey_file(context.get(), files.key.c_str(), SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(context.get()) != 1) {
      return FilesInvalid(
          absl::StrCat("cannot use ", files.key, " as the PEM private key of ", files.cert));
    }
  }
  if (!files.ca.empty() &&
      SSL_CTX_load_verify_locations(context.get(), files.ca.c_str(), nullptr) != 1) {
    return FilesInvalid(
        absl::StrCat("cannot read PEM certificates of an authority from ", files.ca));
  }
  return context;
}

absl::StatusOr<std::shared_ptr<const TlsServer>> TlsServer::Open(const TlsFiles& files,
                                                                 absl::Duration look_interval) {
  if (files.cert.empty() && files.key.empty()) {
    return base::Refuse(absl::StatusCode::kInvalidArgument, "TLS_FILES_INVALID",
                        "an authority for clients was given without a certificate of the server. "
                        "Give a certificate and its key too.");
  }
  std::shared_ptr<TlsServer> server(new TlsServer(files, look_interval));
  server->read_ = server->Look();
  absl::StatusOr<std::shared_ptr<SSL_CTX>> loaded = server->Load();
  RETURN_IF_ERROR(loaded.status());
  {
    absl::MutexLock lock(&server->mu_);
    server->current_ = *std::move(loaded);
    server->stats_.certificate_expires = ExpiryOf(server->current_.get());
  }
  ASSIGN_OR_RETURN(server->thread_, base::StartThread([raw = server.get()] { raw->Run(); }));
  return std::shared_ptr<const TlsServer>(std::move(server));
}

TlsServer::TlsServer(const TlsFiles& files, absl::Duration look_interval)
    : files_(std::make_unique<const TlsFiles>(files)), look_interval_(look_interval) {}

TlsServer::~TlsServer() {
  {
    std::lock_guard<std::mutex> lock(wake_mu_);
    stopped_ = true;
    wake_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

std::shared_ptr<SSL_CTX> TlsServer::Current() const {
  absl::MutexLock lock(&mu_);
  return current_;
}

TlsServer::Stats TlsServer::stats() const {
  absl::MutexLock lock(&mu_);
  return stats_;
}

TlsServer::Version TlsServer::Look() const {
  Version version;
  for (const std::string* path : {&files_->cert, &files_->key, &files_->ca}) {
    struct stat file{};
    if (path->empty() || stat(path->c_str(), &file) != 0) {
      version.push_back(0);
      continue;
    }
    for (const int64_t one :
         {static_cast<int64_t>(file.st_dev), static_cast<int64_t>(file.st_ino),
          static_cast<int64_t>(file.st_size), Nanos(file.st_mtim), Nanos(file.st_ctim)}) {
      version.push_back(one);
    }
  }
  return version;
}

absl::StatusOr<std::shared_ptr<SSL_CTX>> TlsServer::Load() const {
  ASSIGN_OR_RETURN(std::shared_ptr<SSL_CTX> context, LoadTlsFiles(*files_));
  SSL_CTX* const raw = context.get();
  // What was read may hold a token string: OpenSSL wipes its own copy too.
  SSL_CTX_set_options(raw, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                               SSL_OP_CLEANSE_PLAINTEXT | SSL_OP_CIPHER_SERVER_PREFERENCE);
  if (SSL_CTX_set_min_proto_version(raw, TLS1_2_VERSION) != 1 ||
      SSL_CTX_set_cipher_list(raw, kCiphers) != 1) {
    return FilesInvalid("OpenSSL takes none of the ciphers");
  }
  SSL_CTX_set_alpn_select_cb(raw, ChooseProtocol, nullptr);
  // Tickets alone, which are good as long as this context is.
  SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_timeout(raw, kSessionSeconds);
  if (files_->ca.empty()) return context;
  static constexpr unsigned char kSession[] = "tollgate";
  SSL_CTX_set_session_id_context(raw, kSession, sizeof(kSession) - 1);
  SSL_CTX_set_verify(raw, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  // So that a client with several certificates knows which.
  SSL_CTX_set_client_CA_list(raw, SSL_load_client_CA_file(files_->ca.c_str()));
  ERR_clear_error();
  return context;
}

void TlsServer::Run() {
  Version seen = read_;
  while (true) {
    {
      const auto next =
          std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(look_interval_);
      std::unique_lock<std::mutex> lock(wake_mu_);
      if (wake_.wait_until(lock, next, [this] { return stopped_; })) return;
    }
    const Version now = Look();
    const bool is_new = now != read_ && now == seen;
    seen = now;
    // What failed may have failed for want of a descriptor: it is tried again.
    if (!is_new && told_.empty()) continue;
    absl::StatusOr<std::shared_ptr<SSL_CTX>> loaded = Load();
    if (Look() != now) continue;  // a later look finds what came of it
    read_ = now;
    Take(std::move(loaded));
  }
}

void TlsServer::Take(absl::StatusOr<std::shared_ptr<SSL_CTX>> loaded) {
  const absl::Status status = loaded.status();
  absl::Time expires;
  {
    absl::MutexLock lock(&mu_);
    stats_.ok = status.ok();
    if (status.ok()) {
      current_ = *std::move(loaded);
      stats_.certificate_expires = ExpiryOf(current_.get());
    }
    expires = stats_.certificate_expires;
  }
  if (status.ok()) {
    told_.clear();
    base::Log(base::LogLevel::kInfo, "the certificate was read anew",
              {{"certificate", files_->cert},
               {"expires", absl::FormatTime(absl::RFC3339_sec, expires, absl::UTCTimeZone())}});
    return;
  }
  if (told_ == status.message()) return;
  told_ = std::string(status.message());
  base::Log(base::LogLevel::kError,
            "the files of TLS are refused: over HTTP what was in force stays in force; over gRPC "
            "new connections may fail until they are mended",
            {{"reason", base::ReasonOf(status)}, {"error", told_}});
}

}  // namespace tollgate::net
