/* Signed JSON Web Tokens (RFC 7515, 7518, 7519), for clients that prove who they are by a key. */
#include "backend/vault/internal.h"
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>

enum { ES256_PART = 32, SIGNATURE_MAX = 1024, PEM_MAX = 16384 };

void vault_base64url(const void *bytes, size_t len, char *out)
{
    vault_base64(bytes, len, out);
    size_t n = 0;
    for (; out[n] && out[n] != '='; n++)
        out[n] = out[n] == '+' ? '-' : out[n] == '/' ? '_' : out[n];
    out[n] = '\0';
}

static void add_coded(struct buf *out, const void *bytes, size_t len)
{
    char *text = xcalloc(1, VAULT_BASE64(len));
    vault_base64url(bytes, len, text);
    buf_adds(out, text);
    free(text);
}

static EVP_PKEY *read_key(const char *pem, struct error *e)
{
    BIO *in = strlen(pem) <= PEM_MAX ? BIO_new_mem_buf(pem, -1) : NULL;
    /* The empty passphrase: without one libcrypto would ask at the terminal. */
    EVP_PKEY *key = in ? PEM_read_bio_PrivateKey(in, NULL, NULL, (void *)"") : NULL;
    BIO_free(in);
    if (!key)
        err_set(e, ERR_NO_KEY, "the client's key is no private key in PEM form");
    return key;
}

/* The two numbers of an ECDSA signature, each in its full length (RFC 7518, 3.4). */
static bool flatten(const unsigned char *der, size_t len, unsigned char out[2 * ES256_PART])
{
    ECDSA_SIG *s = d2i_ECDSA_SIG(NULL, &der, (long)len);
    bool fine = s && BN_bn2binpad(ECDSA_SIG_get0_r(s), out, ES256_PART) == ES256_PART &&
                BN_bn2binpad(ECDSA_SIG_get0_s(s), out + ES256_PART, ES256_PART) == ES256_PART;
    ECDSA_SIG_free(s);
    return fine;
}

char *vault_jwt(const char *pem, const char *claims, struct error *e)
{
    unsigned char der[SIGNATURE_MAX], flat[2 * ES256_PART];
    size_t len = sizeof der;
    EVP_MD_CTX *context = NULL;
    struct buf out = {0};
    char *token = NULL;
    EVP_PKEY *key = read_key(pem, e);
    if (!key)
        return NULL;
    bool ec = EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_bits(key) == 256;
    if (!ec && !(EVP_PKEY_is_a(key, "RSA") && EVP_PKEY_get_bits(key) >= 2048)) {
        err_set(e, ERR_UNSUPPORTED,
                "the client's key is neither EC P-256 nor RSA of 2048 bits and more");
        goto out;
    }
    const char *head =
        ec ? "{\"alg\":\"ES256\",\"typ\":\"JWT\"}" : "{\"alg\":\"RS256\",\"typ\":\"JWT\"}";
    add_coded(&out, head, strlen(head));
    buf_addc(&out, '.');
    add_coded(&out, claims, strlen(claims));
    context = EVP_MD_CTX_new();
    if (!context || EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key) != 1 ||
        EVP_DigestSign(context, der, &len, (const unsigned char *)out.data, out.len) != 1 ||
        (ec && !flatten(der, len, flat))) {
        err_set(e, ERR_NO_KEY, "the client's key does not sign");
        goto out;
    }
    buf_addc(&out, '.');
    add_coded(&out, ec ? flat : der, ec ? sizeof flat : len);
    token = buf_take(&out);
out:
    buf_release(&out);
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(key);
    return token;
}
