"""A certificate authority for one test, made with the openssl command."""
import os
import subprocess


class Authority:
    def __init__(self, folder, name="ca"):
        self.folder, self.name = folder, name
        self.ca = os.path.join(folder, f"{name}.pem")
        self._openssl("req", "-x509", *self._new_key(name), "-out", self.ca, "-days", "2", "-subj", f"/CN={name}",
                      "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign")

    def issue(self, name, *alternative_names):
        """(certificate, key): paths; the names are as in URI:spiffe://…, IP:127.0.0.1, DNS:host."""
        certificate = os.path.join(self.folder, f"{name}.pem")
        self._openssl("req", "-x509", "-CA", self.ca, "-CAkey", self._key(self.name), *self._new_key(name),
                      "-out", certificate, "-days", "2", "-subj", f"/CN={name}",
                      "-addext", "basicConstraints=critical,CA:FALSE",
                      "-addext", f"subjectAltName={','.join(alternative_names)}")
        return certificate, self._key(name)

    def issue_expired(self, name, *alternative_names):
        """As issue, but over since yesterday."""
        certificate = os.path.join(self.folder, f"{name}.pem")
        request, extensions = certificate + ".csr", certificate + ".ext"
        with open(extensions, "w", encoding="utf-8") as file:
            file.write(f"subjectAltName={','.join(alternative_names)}\n")
        self._openssl("req", "-new", *self._new_key(name), "-subj", f"/CN={name}", "-out", request)
        self._openssl("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self._key(self.name), "-set_serial",
                      "77", "-days", "-1", "-extfile", extensions, "-out", certificate)
        return certificate, self._key(name)

    def _key(self, name):
        return os.path.join(self.folder, f"{name}.key")

    def _new_key(self, name):
        return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", self._key(name)]

    @staticmethod
    def _openssl(*arguments):
        done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, f"openssl {arguments}: {done.stderr}"
