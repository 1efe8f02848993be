#include "net/address_probe.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "base/thread.h"

namespace tollgate::net {
namespace {

using Certificate = ProbeFindings::Certificate;
using Step = ProbeFindings::Step;

// HTTP/2's opening (RFC 9113, section 3.4) with an empty SETTINGS frame.
constexpr absl::string_view kPreface("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", 33);
constexpr size_t kFrameHeader = 9;
constexpr unsigned char kSettings = 4;

// How many addresses of one name are looked at.
constexpr size_t kMostAddresses = 4;
// How much of what came is kept, and how many names of a certificate are told.
constexpr size_t kMostFirstBytes = 16;
constexpr size_t kMostNames = 4;
constexpr size_t kLongestName = 100;
// How much is read of one connection: several times the longest handshake with a greeting, so that
// a peer that sends without end costs no more than that.
constexpr size_t kMostBytes = 64 * 1024;

// How soon a look-up that cannot be waited for with a poll notices that it is broken off.
constexpr absl::Duration kLookUpSlice = absl::Milliseconds(20);

// The time given, and the interruption.
class Patience {
 public:
  Patience(absl::Duration limit, const Interruption* interruption)
      : end_(std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(limit)),
        interruption_(interruption) {}

  absl::Duration left() const {
    return std::max(absl::ZeroDuration(),
                    absl::FromChrono(end_ - std::chrono::steady_clock::now()));
  }
  bool interrupted() const { return interruption_ != nullptr && interruption_->interrupted(); }

  // Whether to go on. False, with the finding noted: the time is up, or the look is broken off.
  bool Lasts(ProbeFindings* found) const {
    if (interrupted()) {
      found->interrupted = true;
      return false;
    }
    if (left() <= absl::ZeroDuration()) {
      found->timed_out = true;
      return false;
    }
    return true;
  }

  // Waits until `fd` is ready for `events`. False, with the finding noted: it was not in time.
  bool Await(int fd, short events, ProbeFindings* found) const {
    while (Lasts(found)) {
      pollfd fds[2] = {{fd, events, 0},
                       {interruption_ != nullptr ? interruption_->fd() : -1, POLLIN, 0}};
      const int ms = static_cast<int>(absl::ToInt64Milliseconds(left() + absl::Milliseconds(1)));
      const int ready = poll(fds, 2, ms);
      if (ready > 0 && fds[0].revents != 0) return true;
      if (ready < 0 && errno != EINTR) {
        found->error = errno;
        return false;
      }
    }
    return false;
  }

 private:
  const std::chrono::steady_clock::time_point end_;
  const Interruption* const interruption_;
};

// ---- The name.

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
};

// A look-up, on a thread of its own: getaddrinfo takes as long as it takes, and cannot be
// cancelled.
struct LookUp {
  std::mutex mu;
  std::condition_variable changed;
  // Guarded by mu.
  bool done = false;
  bool abandoned = false;
  int error = 0;
  std::vector<SocketAddress> addresses;
};

// Look-ups that nobody waits for any more, and that have not ended by themselves yet. While there
// is one, no other is begun: a resolver that hangs costs no more than the threads of those that
// looked at once.
std::atomic<int> abandoned_look_ups{0};

// Whether to wait no longer, which is noted.
bool GivesUp(const Patience& patience, ProbeFindings* found) {
  found->interrupted = patience.interrupted();
  found->timed_out = !found->interrupted && patience.left() <= absl::ZeroDuration();
  return found->interrupted || found->timed_out;
}

void Look(const std::string& host, const std::string& port, LookUp* look_up) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* result = nullptr;
  const int error = getaddrinfo(host.c_str(), port.c_str(), &hints, &result);
  std::lock_guard<std::mutex> lock(look_up->mu);
  look_up->error = error;
  for (const addrinfo* one = result;
       error == 0 && one != nullptr && look_up->addresses.size() < kMostAddresses;
       one = one->ai_next) {
    SocketAddress& found = look_up->addresses.emplace_back();
    std::memcpy(&found.storage, one->ai_addr, one->ai_addrlen);
    found.size = one->ai_addrlen;
  }
  if (result != nullptr) freeaddrinfo(result);
  look_up->done = true;
  if (look_up->abandoned) abandoned_look_ups.fetch_sub(1);
  look_up->changed.notify_all();
}

std::vector<SocketAddress> LookUpName(const Address& address, const Patience& patience,
                                      ProbeFindings* found) {
  std::vector<SocketAddress> out;
  if (address.is_unix()) {
    SocketAddress& one = out.emplace_back();
    auto* un = reinterpret_cast<sockaddr_un*>(&one.storage);
    un->sun_family = AF_UNIX;
    std::memcpy(un->sun_path, address.path.data(),
                std::min(address.path.size(), sizeof(un->sun_path) - 1));
    one.size = sizeof(sockaddr_un);
    return out;
  }
  while (abandoned_look_ups.load() > 0) {
    if (GivesUp(patience, found)) return out;
    std::this_thread::sleep_for(absl::ToChronoNanoseconds(kLookUpSlice));
  }
  const auto look_up = std::make_shared<LookUp>();
  absl::StatusOr<std::thread> thread =
      base::StartThread([look_up, host = address.host, port = absl::StrCat(address.port)] {
        Look(host, port, look_up.get());
      });
  if (!thread.ok()) {
    found->words = std::string(thread.status().message());
    return out;
  }
  thread->detach();
  std::unique_lock<std::mutex> lock(look_up->mu);
  while (!look_up->done) {
    if (GivesUp(patience, found)) {
      look_up->abandoned = true;
      abandoned_look_ups.fetch_add(1);
      return out;
    }
    look_up->changed.wait_for(lock,
                              absl::ToChronoNanoseconds(std::min(patience.left(), kLookUpSlice)));
  }
  if (look_up->error != 0) found->words = gai_strerror(look_up->error);
  return std::move(look_up->addresses);
}

// ---- The connection.

class Socket {
 public:
  explicit Socket(const Patience* patience) : patience_(patience) {}
  ~Socket() {
    if (fd_ >= 0) close(fd_);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  // False, with the finding noted.
  bool Connect(const SocketAddress& to, ProbeFindings* found) {
    found->step = Step::kConnect;
    fd_ = socket(to.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd_ < 0) {
      found->error = errno;
      return false;
    }
    if (connect(fd_, reinterpret_cast<const sockaddr*>(&to.storage), to.size) == 0) return true;
    if (errno == EAGAIN) {  // a Unix socket's backlog is full
      found->timed_out = true;
      return false;
    }
    if (errno != EINPROGRESS && errno != EINTR) {
      found->error = errno;
      return false;
    }
    if (!patience_->Await(fd_, POLLOUT, found)) return false;
    socklen_t size = sizeof(found->error);
    getsockopt(fd_, SOL_SOCKET, SO_ERROR, &found->error, &size);
    return found->error == 0;
  }

  // False, with the finding noted.
  bool Send(absl::string_view bytes, ProbeFindings* found) {
    while (!bytes.empty()) {
      if (!patience_->Lasts(found)) return false;
      const ssize_t sent = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent >= 0) {
        bytes.remove_prefix(static_cast<size_t>(sent));
      } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
        if (!patience_->Await(fd_, POLLOUT, found)) return false;
      } else if (errno != EINTR) {
        found->error = errno;
        return false;
      }
    }
    return true;
  }

  // Appends what has come to `*bytes`, and waits for it. False, with the finding noted: nothing
  // more comes, or is read.
  bool Read(std::string* bytes, ProbeFindings* found) {
    // Before each read, because one that never stops sending never makes it wait.
    while (patience_->Lasts(found)) {
      if (read_ >= kMostBytes) {
        found->words = absl::StrCat("after ", kMostBytes / 1024, " KiB it is not done");
        return false;
      }
      char buffer[4096];
      const ssize_t got = recv(fd_, buffer, sizeof(buffer), 0);
      if (got > 0) {
        if (found->first_bytes.size() < kMostFirstBytes) {
          found->first_bytes.append(buffer, std::min(static_cast<size_t>(got),
                                                     kMostFirstBytes - found->first_bytes.size()));
        }
        bytes->append(buffer, static_cast<size_t>(got));
        read_ += static_cast<size_t>(got);
        return true;
      }
      if (got == 0) {
        found->closed = true;
        return false;
      }
      if (errno == EAGAIN || errno == EWOULDBLOCK) {
        if (!patience_->Await(fd_, POLLIN, found)) return false;
      } else if (errno != EINTR) {
        found->closed = errno == ECONNRESET || errno == EPIPE;
        found->error = errno;
        return false;
      }
    }
    return false;
  }

 private:
  const Patience* const patience_;
  int fd_ = -1;
  size_t read_ = 0;
};

// ---- TLS, over the socket.

std::string CutName(absl::string_view name) { return std::string(name.substr(0, kLongestName)); }

CertificateNames NamesOf(X509* certificate) {
  CertificateNames names;
  std::unique_ptr<GENERAL_NAMES, void (*)(GENERAL_NAMES*)> all(
      static_cast<GENERAL_NAMES*>(
          X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)),
      GENERAL_NAMES_free);
  if (all == nullptr) return names;
  const auto text = [](const ASN1_STRING* s) {
    return std::string(reinterpret_cast<const char*>(ASN1_STRING_get0_data(s)),
                       static_cast<size_t>(ASN1_STRING_length(s)));
  };
  for (int i = 0; i < sk_GENERAL_NAME_num(all.get()); ++i) {
    const GENERAL_NAME* one = sk_GENERAL_NAME_value(all.get(), i);
    if (one->type == GEN_DNS) {
      names.dns.push_back(text(one->d.dNSName));
    } else if (one->type == GEN_URI) {
      names.uris.push_back(text(one->d.uniformResourceIdentifier));
    } else if (one->type == GEN_IPADD) {
      const std::string raw = text(one->d.iPAddress);
      char printed[INET6_ADDRSTRLEN] = {};
      if (raw.size() == 4 || raw.size() == 16) {
        inet_ntop(raw.size() == 4 ? AF_INET : AF_INET6, raw.data(), printed, sizeof(printed));
        names.ips.emplace_back(printed);
      }
    }
  }
  return names;
}

std::string Listed(const CertificateNames& names) {
  std::vector<std::string> told;
  size_t left_out = 0;
  for (const auto* kind : {&names.dns, &names.ips, &names.uris}) {
    for (const std::string& name : *kind) {
      if (told.size() < kMostNames) {
        told.push_back(CutName(name));
      } else {
        ++left_out;
      }
    }
  }
  std::string list = absl::StrJoin(told, ", ");
  if (left_out > 0) absl::StrAppend(&list, " and ", left_out, " more");
  return list;
}

class TlsSession {
 public:
  TlsSession(const ProbeTarget& target, Socket* socket, ProbeFindings* found)
      : target_(target), socket_(socket), found_(found) {}
  ~TlsSession() { ERR_clear_error(); }
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;

  // False, with the finding noted.
  bool Handshake() {
    found_->step = Step::kTls;
    ERR_clear_error();
    if (!Prepare()) return Failed(1);
    for (;;) {
      const int done = SSL_do_handshake(ssl_.get());
      if (done == 1) return Flush();
      if (SSL_get_error(ssl_.get(), done) != SSL_ERROR_WANT_READ) {
        // What OpenSSL says is taken first: the alert that tells the peer may find no socket.
        Failed(SSL_get_error(ssl_.get(), done));
        ProbeFindings unwanted;
        std::swap(unwanted, *found_);
        Flush();
        std::swap(unwanted, *found_);
        return false;
      }
      if (!Flush() || !Fill()) return false;
    }
  }

  bool Send(absl::string_view bytes) {
    const int done = SSL_write(ssl_.get(), bytes.data(), static_cast<int>(bytes.size()));
    if (done <= 0) return Failed(SSL_get_error(ssl_.get(), done));
    return Flush();
  }

  bool Read(std::string* bytes) {
    for (;;) {
      char buffer[4096];
      const int got = SSL_read(ssl_.get(), buffer, sizeof(buffer));
      if (got > 0) {
        bytes->append(buffer, static_cast<size_t>(got));
        return true;
      }
      const int error = SSL_get_error(ssl_.get(), got);
      if (error == SSL_ERROR_ZERO_RETURN) {
        found_->closed = true;
        return false;
      }
      if (error != SSL_ERROR_WANT_READ) return Failed(error);
      if (!Flush() || !Fill()) return false;
    }
  }

  // The ClientHello, for a peer of whom only the answer's first byte matters.
  std::string Hello() {
    if (!Prepare()) return "";
    SSL_do_handshake(ssl_.get());
    return Outgoing();
  }

 private:
  bool Prepare() {
    context_.reset(SSL_CTX_new(TLS_client_method()));
    if (context_ == nullptr) return false;
    SSL_CTX* const context = context_.get();
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_default_passwd_cb(context, [](char*, int, int, void*) { return -1; });
    if (!target_.tls.ca.empty()) {
      if (SSL_CTX_load_verify_locations(context, target_.tls.ca.c_str(), nullptr) != 1) {
        return false;
      }
    } else {
      SSL_CTX_set_default_verify_paths(context);
    }
    found_->certificate_given = !target_.tls.cert.empty();
    if (found_->certificate_given &&
        (SSL_CTX_use_certificate_chain_file(context, target_.tls.cert.c_str()) != 1 ||
         SSL_CTX_use_PrivateKey_file(context, target_.tls.key.c_str(), SSL_FILETYPE_PEM) != 1)) {
      return false;
    }
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
    // Judged before this side's certificate is sent: a stranger does not learn who asks.
    SSL_CTX_set_cert_verify_callback(context, &TlsSession::Judge, this);
    SSL_CTX_set_cert_cb(context, &TlsSession::Wanted, this);
    const unsigned char h2[] = {2, 'h', '2'};
    SSL_CTX_set_alpn_protos(context, h2, sizeof(h2));
    ssl_.reset(SSL_new(context));
    if (ssl_ == nullptr) return false;
    BIO* const in = BIO_new(BIO_s_mem());
    out_ = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(in, -1);
    SSL_set_bio(ssl_.get(), in, out_);
    in_ = in;
    SSL_set_connect_state(ssl_.get());
    in_addr v4;
    in6_addr v6;
    const std::string& host = target_.address.host;
    if (!host.empty() && inet_pton(AF_INET, host.c_str(), &v4) != 1 &&
        inet_pton(AF_INET6, host.c_str(), &v6) != 1) {
      SSL_set_tlsext_host_name(ssl_.get(), host.c_str());
    }
    return true;
  }

  static int Judge(X509_STORE_CTX* store, void* self) {
    return static_cast<TlsSession*>(self)->JudgeCertificate(store) ? 1 : 0;
  }
  static int Wanted(SSL*, void* self) {
    static_cast<TlsSession*>(self)->found_->certificate_wanted = true;
    return 1;
  }

  bool JudgeCertificate(X509_STORE_CTX* store) {
    const bool signed_well = X509_verify_cert(store) == 1;
    const int error = X509_STORE_CTX_get_error(store);
    const CertificateNames names = NamesOf(X509_STORE_CTX_get0_cert(store));
    found_->certificate_names = Listed(names);
    if (!signed_well) {
      const bool time =
          error == X509_V_ERR_CERT_HAS_EXPIRED || error == X509_V_ERR_CERT_NOT_YET_VALID;
      found_->certificate = time ? Certificate::kNotValidNow : Certificate::kUntrusted;
      found_->words = X509_verify_cert_error_string(error);
      return false;
    }
    const std::string host = target_.address.is_unix() ? "localhost" : target_.address.host;
    if (!CheckServerNames(names, target_.server, host).ok()) {
      found_->certificate = Certificate::kOtherName;
      return false;
    }
    found_->certificate = Certificate::kGood;
    return true;
  }

  std::string Outgoing() {
    std::string bytes(static_cast<size_t>(BIO_ctrl_pending(out_)), '\0');
    if (!bytes.empty()) BIO_read(out_, bytes.data(), static_cast<int>(bytes.size()));
    return bytes;
  }
  bool Flush() {
    const std::string bytes = Outgoing();
    return bytes.empty() || socket_->Send(bytes, found_);
  }
  bool Fill() {
    std::string bytes;
    if (!socket_->Read(&bytes, found_)) return false;
    BIO_write(in_, bytes.data(), static_cast<int>(bytes.size()));
    return true;
  }

  // Notes what OpenSSL says. False.
  bool Failed(int error) {
    if (error == SSL_ERROR_SYSCALL && ERR_peek_error() == 0) {
      found_->closed = true;
      return false;
    }
    const unsigned long code = ERR_peek_last_error();
    const int reason = ERR_GET_REASON(code);
    if (ERR_GET_LIB(code) == ERR_LIB_SSL && reason > SSL_AD_REASON_OFFSET &&
        reason < SSL_AD_REASON_OFFSET + 256) {
      found_->alert = reason - SSL_AD_REASON_OFFSET;
    }
    const char* const words = ERR_reason_error_string(code);
    if (found_->words.empty() && words != nullptr) found_->words = words;
    ERR_clear_error();
    return false;
  }

  const ProbeTarget& target_;
  Socket* const socket_;
  ProbeFindings* const found_;
  std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> context_{nullptr, SSL_CTX_free};
  std::unique_ptr<SSL, void (*)(SSL*)> ssl_{nullptr, SSL_free};
  BIO* in_ = nullptr;   // ssl_'s
  BIO* out_ = nullptr;  // ssl_'s
};

// ---- All of it.

// Whether the first frame is the SETTINGS that a server sends.
bool Greets(absl::string_view bytes) {
  return bytes.size() >= kFrameHeader && bytes[0] == 0 &&
         static_cast<unsigned char>(bytes[3]) == kSettings && bytes[5] == 0 && bytes[8] == 0;
}

void AwaitGreeting(Socket* socket, TlsSession* tls, ProbeFindings* found) {
  found->step = Step::kGreet;
  found->first_bytes.clear();
  // Where the peer has hung up already, what it said before it did is still there to be read.
  ProbeFindings sending = *found;
  if (tls != nullptr) {
    static_cast<void>(tls->Send(kPreface));
  } else if (!socket->Send(kPreface, &sending) && sending.interrupted) {
    found->interrupted = true;
    return;
  }
  std::string said;
  while (said.size() < kFrameHeader) {
    const bool more = tls != nullptr ? tls->Read(&said) : socket->Read(&said, found);
    if (!more) break;
  }
  found->first_bytes = said.substr(0, kMostFirstBytes);
  if (!Greets(said)) return;
  *found = ProbeFindings();
  found->step = Step::kGreeted;
}

bool AnswersTls(const ProbeTarget& target, const SocketAddress& to, const Patience& patience) {
  ProbeFindings unwanted;
  Socket socket(&patience);
  if (!socket.Connect(to, &unwanted)) return false;
  const std::string hello = TlsSession(target, &socket, &unwanted).Hello();
  std::string said;
  if (hello.empty() || !socket.Send(hello, &unwanted) || !socket.Read(&said, &unwanted)) {
    return false;
  }
  return said[0] == 0x15 || said[0] == 0x16;  // an alert, or its part of the handshake
}

ProbeFindings LookAt(const ProbeTarget& target, const SocketAddress& to, const Patience& patience) {
  ProbeFindings found;
  Socket socket(&patience);
  if (!socket.Connect(to, &found)) return found;
  if (target.use_tls || !target.tls.empty()) {
    TlsSession tls(target, &socket, &found);
    if (tls.Handshake()) AwaitGreeting(&socket, &tls, &found);
    return found;
  }
  AwaitGreeting(&socket, nullptr, &found);
  if (found.step != Step::kGreeted && found.closed && found.first_bytes.empty()) {
    found.answers_tls = AnswersTls(target, to, patience);
  }
  return found;
}

}  // namespace

Interruption::Interruption() : fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
Interruption::~Interruption() {
  if (fd_ >= 0) close(fd_);
}
void Interruption::Interrupt() {
  const uint64_t one = 1;
  if (fd_ >= 0) static_cast<void>(!write(fd_, &one, sizeof(one)));
}
bool Interruption::interrupted() const {
  pollfd look = {fd_, POLLIN, 0};
  return fd_ >= 0 && poll(&look, 1, 0) == 1;
}

ProbeFindings ProbeAddress(const ProbeTarget& target, absl::Duration limit,
                           const Interruption* interruption) {
  ProbeFindings best;
  const Patience patience(limit, interruption);
  const std::vector<SocketAddress> addresses = LookUpName(target.address, patience, &best);
  for (size_t i = 0; i < addresses.size(); ++i) {
    // An address that says nothing leaves the others their share of the time.
    const Patience share(patience.left() / static_cast<int64_t>(addresses.size() - i),
                         interruption);
    ProbeFindings found = LookAt(target, addresses[i], share);
    const bool last_word = found.interrupted || found.step == Step::kGreeted;
    if (i == 0 || last_word || found.step > best.step) best = std::move(found);
    if (last_word) break;
  }
  return best;
}

}  // namespace tollgate::net
