/* OAuth's pure parts: addresses, challenges, metadata, scopes; headers from arguments; signed
 * tokens. */
#include "backend/connectors/mcp_params.h"
#include "backend/connectors/oauth_text.h"
#include "backend/vault/vault.h"
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>

static void same(char *got, const char *expected)
{
    if (expected)
        assert_string_equal(got, expected);
    else
        assert_null(got);
    free(got);
}

static void addresses_are_strict(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "ftp://a/",
                                      "https://",
                                      "https://a b/",
                                      "https://u@a/",
                                      "https://a:/",
                                      "https://a:99999/",
                                      "https://a:0/",
                                      "https://[::1/",
                                      "//a/",
                                      "https://a\n/"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(oauth__url_fine(bad[i]));
    same(oauth__origin("HTTPS://Example.COM:443/x?y"), "https://example.com");
    same(oauth__origin("http://127.0.0.1:8080"), "http://127.0.0.1:8080");
    same(oauth__origin("http://[::1]:80/"), "http://[::1]");
    assert_true(oauth__is_loopback("http://localhost:1/") &&
                oauth__is_loopback("http://127.9.9.9/") && oauth__is_loopback("http://[::1]:5/"));
    assert_false(oauth__is_loopback("http://127.0.0.1.example.com/"));
    assert_true(oauth__url_trusted("https://a/", "https://b/"));
    assert_false(oauth__url_trusted("http://a/", "https://b/"));
    assert_false(
        oauth__url_trusted("http://localhost/", "https://b/")); /* a peer does not send us here */
    assert_true(oauth__url_trusted("http://localhost:1/", "http://127.0.0.1:2/"));
    same(oauth__url_join("https://a/sse/x?q", "/messages?s=1"), "https://a/messages?s=1");
    same(oauth__url_join("https://a/sse/x?q", "messages"), "https://a/sse/messages");
    same(oauth__url_join("https://a/sse", "https://b/m"), "https://b/m");
    same(oauth__url_join("https://a/sse", "//b/m"), NULL);
    same(oauth__url_join("https://a/sse", "/m x"), NULL);
    same(oauth__well_known("https://a/mcp/", "p", true), "https://a/.well-known/p/mcp");
    same(oauth__well_known("https://a/mcp?x", "p", false), "https://a/.well-known/p");
    same(oauth__well_known_below("https://a/t1", "p"), "https://a/t1/.well-known/p");
    assert_true(oauth__covers("https://a", "https://a/mcp") &&
                oauth__covers("https://a/mcp/", "https://a/mcp"));
    assert_false(oauth__covers("https://a/mc", "https://a/mcp"));
    assert_false(oauth__covers("https://evil.example.com/mcp", "https://a/mcp"));
    same(oauth__query("http://l/cb?a=1&code=x%2Fy+z&state=s#f", "code"), "x/y z");
    same(oauth__query("http://l/cb?code=%4", "code"), "%4");
    same(oauth__query("http://l/cb?code", "code"), "");
    same(oauth__query("http://l/cb?xcode=1#code=2", "code"), NULL);
}

static void challenges_are_read(void **state)
{
    (void)state;
    struct oauth__challenge c;
    assert_true(
        oauth__challenge_read("Basic realm=\"a, Bearer b\", bearer realm=x , scope=\"a \\\"b\", "
                              "resource_metadata=\"https://a/p\", Digest scope=no\n",
                              &c));
    assert_string_equal(c.scope, "a \"b");
    assert_string_equal(c.resource_metadata, "https://a/p");
    assert_null(c.error);
    oauth__challenge_release(&c);
    assert_true(oauth__challenge_read("Bearer error=\"insufficient_scope\" scope=\"x y\"",
                                      &c)); /* no comma */
    assert_string_equal(c.error, "insufficient_scope");
    assert_string_equal(c.scope, "x y");
    oauth__challenge_release(&c);
    assert_true(oauth__challenge_read("Bearer", &c));
    oauth__challenge_release(&c);
    assert_true(oauth__challenge_read("Bearer scope=\"never closed", &c));
    assert_null(c.scope);
    oauth__challenge_release(&c);
    assert_false(oauth__challenge_read("Basic realm=\"Bearer\"", &c));
    oauth__challenge_release(&c);
}

static void metadata_are_of_whom_they_should_be(void **state)
{
    (void)state;
    struct oauth__server s;
    struct oauth__resource r;
    struct error e;
    json_t *d =
        json_pack("{s:s,s:s,s:s,s:[s],s:[s,s],s:b}", "issuer", "https://as/t", "token_endpoint",
                  "https://as/token", "authorization_endpoint", "https://as/auth",
                  "code_challenge_methods_supported", "S256", "scopes_supported", "a",
                  "offline_access", "authorization_response_iss_parameter_supported", 1);
    assert_int_equal(oauth__server_read(d, "https://as/t", "https://mcp/", &s, &e), ERR_OK);
    assert_true(s.s256 && s.iss && !s.says_methods && !s.device);
    assert_string_equal(s.scopes, "a offline_access");
    oauth__server_release(&s);
    assert_int_equal(oauth__server_read(d, "https://as/t/", "https://mcp/", &s, &e), ERR_PROTOCOL);
    oauth__server_release(&s);
    json_object_set_new(d, "token_endpoint", json_string("http://169.254.169.254/token"));
    assert_int_equal(oauth__server_read(d, "https://as/t", "https://mcp/", &s, &e), ERR_PROTOCOL);
    oauth__server_release(&s);
    json_decref(d);
    d = json_pack("{s:s,s:[s]}", "resource", "https://mcp/", "authorization_servers",
                  "https://as/t");
    assert_int_equal(oauth__resource_read(d, "https://mcp/mcp", &r, &e), ERR_OK);
    oauth__resource_release(&r);
    assert_int_equal(oauth__resource_read(d, "https://other/mcp", &r, &e), ERR_PROTOCOL);
    oauth__resource_release(&r);
    json_decref(d);
    assert_int_equal(oauth__resource_read(NULL, "https://mcp/", &r, &e), ERR_PROTOCOL);
    oauth__resource_release(&r);
}

static void scopes_are_sets(void **state)
{
    (void)state;
    same(oauth__scope_join("a b", " b  c a"), "a b c");
    same(oauth__scope_join(NULL, NULL), "");
    assert_true(oauth__scope_within("b a", "a b c") && oauth__scope_within("", NULL));
    assert_false(oauth__scope_within("ab", "a b"));
    struct buf form = {0};
    oauth__form_add(&form, "a", "x y&z=\xc3\xa4");
    oauth__form_add(&form, "b", NULL);
    oauth__form_add(&form, "c", "");
    assert_string_equal(form.data, "a=x%20y%26z%3D%C3%A4&c=");
    buf_release(&form);
}

static void arguments_go_into_headers(void **state)
{
    (void)state;
    char *out[MCP_PARAMS_MAX];
    json_t *schema = json_loads("{\"properties\":{\"r\":{\"type\":\"string\",\"x-mcp-header\":"
                                "\"Region\"},\"n\":{\"type\":\"integer\","
                                "\"x-mcp-header\":\"N\"},\"o\":{\"type\":\"object\",\"properties\":"
                                "{\"b\":{\"type\":\"boolean\","
                                "\"x-mcp-header\":\"B\"}}},\"q\":{\"type\":\"string\"},\"z\":{"
                                "\"type\":\"string\",\"x-mcp-header\":\"Z\"}}}",
                                0, NULL);
    json_t *arguments = json_loads(
        "{\"r\":\" \xd1\x8f\\n\",\"n\":-4,\"o\":{\"b\":true},\"q\":\"no\",\"z\":null}", 0, NULL);
    assert_true(mcp__params_fine(schema) && mcp__params_fine(NULL));
    assert_int_equal(mcp__params_headers(schema, arguments, out), 3);
    same(out[0], "Mcp-Param-Region: =?base64?INGPCg==?=");
    same(out[1], "Mcp-Param-N: -4");
    same(out[2], "Mcp-Param-B: true");
    json_decref(schema);
    json_decref(arguments);
    static const char *const bad[] = {"{\"type\":\"string\",\"x-mcp-header\":\"\"}",
                                      "{\"type\":\"number\",\"x-mcp-header\":\"N\"}",
                                      "{\"type\":\"string\",\"x-mcp-header\":\"a b\"}",
                                      "{\"type\":\"string\",\"x-mcp-header\":3}"};
    for (size_t i = 0; i < 4; i++) {
        json_t *one = json_loads(bad[i], 0, NULL),
               *whole = json_pack("{s:{s:o}}", "properties", "p", one);
        assert_false(mcp__params_fine(whole));
        json_decref(whole);
    }
    json_t *twice = json_loads(
        "{\"properties\":{\"a\":{\"type\":\"string\",\"x-mcp-header\":\"X\"},\"b\":{\"type\":"
        "\"string\",\"x-mcp-header\":\"x\"}}}",
        0, NULL);
    assert_false(mcp__params_fine(twice));
    json_decref(twice);
    same(mcp__header("Mcp-Name", "plain name"), "Mcp-Name: plain name");
    same(mcp__header("Mcp-Name", "=?base64?eA==?="), "Mcp-Name: =?base64?PT9iYXNlNjQ/ZUE9PT89?=");
    same(mcp__header("Mcp-Name", "a\tb"), "Mcp-Name: =?base64?YQli?=");
}

static char *pem_of(EVP_PKEY *key)
{
    char *bytes;
    BIO *out = BIO_new(BIO_s_mem());
    PEM_write_bio_PKCS8PrivateKey(out, key, NULL, NULL, 0, NULL, NULL);
    long len = BIO_get_mem_data(out, &bytes);
    char *text = strndup(bytes, (size_t)len);
    BIO_free(out);
    return text;
}

/* The signature's bytes: base64url without padding. */
static size_t raw(const char *text, unsigned char *out)
{
    struct buf b = {0};
    for (; *text; text++)
        buf_addc(&b, *text == '-' ? '+' : *text == '_' ? '/' : *text);
    while (b.len % 4)
        buf_addc(&b, '=');
    int64_t n = vault_unbase64(b.data, b.len, out, 512);
    buf_release(&b);
    assert_true(n > 0);
    return (size_t)n;
}

static bool verifies(EVP_PKEY *key, char *token)
{
    unsigned char signature[512], der[512], *at = der;
    char *dot = strrchr(token, '.');
    size_t len = raw(dot + 1, signature);
    if (EVP_PKEY_is_a(key, "EC")) {
        ECDSA_SIG *s = ECDSA_SIG_new();
        assert_int_equal(len, 64);
        ECDSA_SIG_set0(s, BN_bin2bn(signature, 32, NULL), BN_bin2bn(signature + 32, 32, NULL));
        len = (size_t)i2d_ECDSA_SIG(s, &at);
        memcpy(signature, der, len);
        ECDSA_SIG_free(s);
    }
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    EVP_DigestVerifyInit(c, NULL, EVP_sha256(), NULL, key);
    bool fine =
        EVP_DigestVerify(c, signature, len, (unsigned char *)token, (size_t)(dot - token)) == 1;
    EVP_MD_CTX_free(c);
    return fine;
}

static void check_token(EVP_PKEY *key, const char *head)
{
    struct error e;
    char *pem = pem_of(key), *token = vault_jwt(pem, "{\"iss\":\"me\"}", &e);
    assert_non_null(token);
    assert_ptr_equal(strstr(token, head), token);
    assert_non_null(strstr(token, ".eyJpc3MiOiJtZSJ9."));
    assert_true(verifies(key, token));
    EVP_PKEY_free(key);
    free(token);
    free(pem);
}

static void tokens_are_signed(void **state)
{
    (void)state;
    struct error e;
    check_token(EVP_EC_gen("P-256"), "eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9.");
    check_token(EVP_RSA_gen(2048), "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.");
    assert_null(vault_jwt("no key", "{}", &e));
    assert_int_equal(e.code, ERR_NO_KEY);
    EVP_PKEY *wrong = EVP_EC_gen("P-384");
    char *pem = pem_of(wrong);
    assert_null(vault_jwt(pem, "{}", &e));
    assert_int_equal(e.code, ERR_UNSUPPORTED);
    EVP_PKEY_free(wrong);
    free(pem);
}

/* RFC 9449, 4.2: the head holds the public key, that key verifies, and the private one stays here.
 */
static void proofs_hold_their_key(void **state)
{
    (void)state;
    struct error e;
    struct vault_text pem = {0}, other = {0};
    assert_int_equal(vault_pem_new(&pem, &e), ERR_OK);
    assert_int_equal(vault_pem_new(&other, &e), ERR_OK);
    assert_string_not_equal(pem.text, other.text);
    BIO *in = BIO_new_mem_buf(pem.text, -1);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(in, NULL, NULL, NULL);
    BIO_free(in);
    char *token = vault_dpop(pem.text, "{\"jti\":\"1\"}", &e), *first = strchr(token, '.');
    unsigned char head[512], x[64], wanted[32];
    BIGNUM *number = NULL;
    *first = '\0';
    json_t *document = json_loadb((char *)head, raw(token, head), 0, NULL);
    *first = '.';
    const json_t *jwk = json_object_get(document, "jwk");
    assert_string_equal(json_str(document, "typ", ""), "dpop+jwt");
    assert_int_equal(json_object_size(jwk), 4);
    assert_string_equal(json_str(jwk, "crv", ""), "P-256");
    assert_int_equal(EVP_PKEY_get_bn_param(key, "qx", &number), 1);
    assert_int_equal(BN_bn2binpad(number, wanted, 32), 32);
    assert_int_equal(raw(json_str(jwk, "x", ""), x), 32);
    assert_memory_equal(x, wanted, 32);
    assert_true(verifies(key, token));
    BN_free(number);
    json_decref(document);
    EVP_PKEY_free(key);
    free(token);
    vault_text_wipe(&pem);
    vault_text_wipe(&other);
    EVP_PKEY *rsa = EVP_RSA_gen(2048);
    char *text = pem_of(rsa);
    assert_null(vault_dpop(text, "{}", &e));
    assert_int_equal(e.code, ERR_UNSUPPORTED);
    EVP_PKEY_free(rsa);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_strict),
        cmocka_unit_test(challenges_are_read),
        cmocka_unit_test(metadata_are_of_whom_they_should_be),
        cmocka_unit_test(scopes_are_sets),
        cmocka_unit_test(arguments_go_into_headers),
        cmocka_unit_test(tokens_are_signed),
        cmocka_unit_test(proofs_hold_their_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
