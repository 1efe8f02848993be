// The files of one end's TLS.
#ifndef TOLLGATE_NET_TLS_FILES_H_
#define TOLLGATE_NET_TLS_FILES_H_

#include <string>

namespace tollgate::net {

// Paths of PEM files; empty: not given. Whoever speaks TLS with them looks at them again, about
// once a second, so certificates rotate without a restart. Rotate by rename(2), best with key and
// chain in ONE file that is given as both paths: a key that does not match its chain is not taken.
struct TlsFiles {
  std::string cert;  // the chain, leaf first
  std::string key;
  // On a server: the CA that signs clients; a certificate is then required of every client, unless
  // `optional_clients`. On a client: the CA that signs servers; empty: the system's roots.
  std::string ca;
  // On a server with a CA: a client may come without a certificate; one that he brings must be
  // good.
  bool optional_clients = false;

  bool empty() const { return cert.empty() && key.empty() && ca.empty(); }
};

}  // namespace tollgate::net

#endif  // TOLLGATE_NET_TLS_FILES_H_
