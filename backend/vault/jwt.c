/* Signed JSON Web Tokens (RFC 7515, 7518, 7519), for clients that prove who they are by a key. */
#include "backend/vault/internal.h"
#include <openssl/bio.h>
#include <openssl/core_names.h>
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

/* claims under head (JSON texts), signed by key. */
static char *sign(EVP_PKEY *key, bool ec, const char *head, const char *claims, struct error *e)
{
    unsigned char der[SIGNATURE_MAX], flat[2 * ES256_PART];
    size_t len = sizeof der;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    struct buf out = {0};
    char *token = NULL;
    add_coded(&out, head, strlen(head));
    buf_addc(&out, '.');
    add_coded(&out, claims, strlen(claims));
    if (!context || EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key) != 1 ||
        EVP_DigestSign(context, der, &len, (const unsigned char *)out.data, out.len) != 1 ||
        (ec && !flatten(der, len, flat))) {
        err_set(e, ERR_NO_KEY, "the client's key does not sign");
    } else {
        buf_addc(&out, '.');
        add_coded(&out, ec ? flat : der, ec ? sizeof flat : len);
        token = buf_take(&out);
    }
    buf_release(&out);
    EVP_MD_CTX_free(context);
    return token;
}

static bool is_p256(const EVP_PKEY *key)
{
    return EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_bits(key) == 256;
}

char *vault_jwt(const char *pem, const char *claims, struct error *e)
{
    char *token = NULL;
    EVP_PKEY *key = read_key(pem, e);
    if (!key)
        return NULL;
    bool ec = is_p256(key);
    if (ec || (EVP_PKEY_is_a(key, "RSA") && EVP_PKEY_get_bits(key) >= 2048))
        token =
            sign(key, ec,
                 ec ? "{\"alg\":\"ES256\",\"typ\":\"JWT\"}" : "{\"alg\":\"RS256\",\"typ\":\"JWT\"}",
                 claims, e);
    else
        err_set(e, ERR_UNSUPPORTED,
                "the client's key is neither EC P-256 nor RSA of 2048 bits and more");
    EVP_PKEY_free(key);
    return token;
}

enum err vault_pem_new(struct vault_text *pem, struct error *e)
{
    char *text = NULL;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    BIO *out = BIO_new(BIO_s_secmem());
    bool made = key && out && PEM_write_bio_PKCS8PrivateKey(out, key, NULL, NULL, 0, NULL, NULL);
    long len = made ? BIO_get_mem_data(out, &text) : 0;
    if (len > 0)
        vault_text_put(pem, text, (size_t)len);
    BIO_free(out); /* wipes */
    EVP_PKEY_free(key);
    return len > 0 ? ERR_OK : err_set(e, ERR_NO_KEY, "no key can be made");
}

/* One coordinate of the public key, in its full length (RFC 7518, 6.2.1.2). */
static bool coordinate(const EVP_PKEY *key, const char *which, char coded[VAULT_BASE64(ES256_PART)])
{
    BIGNUM *number = NULL;
    unsigned char bytes[ES256_PART];
    bool fine = EVP_PKEY_get_bn_param(key, which, &number) == 1 &&
                BN_bn2binpad(number, bytes, sizeof bytes) == ES256_PART;
    BN_free(number);
    if (fine)
        vault_base64url(bytes, sizeof bytes, coded);
    return fine;
}

char *vault_dpop(const char *pem, const char *claims, struct error *e)
{
    char x[VAULT_BASE64(ES256_PART)], y[VAULT_BASE64(ES256_PART)], *token = NULL;
    EVP_PKEY *key = read_key(pem, e);
    if (!key)
        return NULL;
    if (is_p256(key) && coordinate(key, OSSL_PKEY_PARAM_EC_PUB_X, x) &&
        coordinate(key, OSSL_PKEY_PARAM_EC_PUB_Y, y)) {
        char *head = xasprintf("{\"alg\":\"ES256\",\"jwk\":{\"crv\":\"P-256\",\"kty\":\"EC\","
                               "\"x\":\"%s\",\"y\":\"%s\"},\"typ\":\"dpop+jwt\"}",
                               x, y);
        token = sign(key, true, head, claims, e);
        free(head);
    } else {
        err_set(e, ERR_UNSUPPORTED, "the key is not EC P-256");
    }
    EVP_PKEY_free(key);
    return token;
}
