/* Where the configuration and the state are, and whole files in the latter. */
#include "backend/base/conf.h"
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A folder by the XDG rules: $variable if it is an absolute path, else ~/under_home; then
 * /mcp-console. NULL when there is no home either. */
static char *xdg_dir(const char *variable, const char *under_home)
{
    const char *base = getenv(variable);
    if (base && *base == '/')
        return xasprintf("%s/mcp-console", base);
    const char *home = getenv("HOME");
    if (!home || *home != '/') {
        const struct passwd *user = getpwuid(getuid());
        home = user ? user->pw_dir : NULL;
    }
    return home && *home == '/' ? xasprintf("%s/%s/mcp-console", home, under_home) : NULL;
}

char *conf_dir(void)
{
    char *dir = xdg_dir("XDG_CONFIG_HOME", ".config");
    return dir ? dir : xstrdup(MCPC_SYSCONFDIR "/mcp-console");
}

char *conf_find(const char *option)
{
    if (option)
        return xstrdup(option); /* if it is missing, reading it says so */
    char *dir = conf_dir();
    char *path = xasprintf("%s/mcp-console.conf", dir);
    free(dir);
    if (access(path, F_OK) == 0)
        return path;
    free(path);
    path = xstrdup(MCPC_SYSCONFDIR "/mcp-console/mcp-console.conf");
    if (access(path, F_OK) == 0)
        return path;
    free(path);
    return NULL;
}

enum err conf_make_dirs(const char *path, struct error *e)
{
    if (mkdir(path, 0700) == 0 || errno == EEXIST)
        return ERR_OK;
    const char *slash = strrchr(path, '/');
    if (errno != ENOENT || !slash || slash == path)
        return err_set_errno(e, "cannot make", path);
    char *above = xstrndup(path, (size_t)(slash - path));
    enum err code = conf_make_dirs(above, e);
    free(above);
    if (code == ERR_OK && mkdir(path, 0700) != 0 && errno != EEXIST)
        code = err_set_errno(e, "cannot make", path);
    return code;
}

char *conf_state_dir(const char *option, struct error *e)
{
    char *dir = option ? xstrdup(option) : xdg_dir("XDG_STATE_HOME", ".local/state");
    if (!dir || !*dir) {
        err_set(e, ERR_NOT_FOUND, "no home directory; name one with --state");
        free(dir);
        return NULL;
    }
    size_t len = strlen(dir);
    while (len > 1 && dir[len - 1] == '/')
        dir[--len] = '\0';
    struct stat st;
    if (conf_make_dirs(dir, e) != ERR_OK)
        goto fail;
    if (stat(dir, &st) != 0)
        err_set_errno(e, "cannot read", dir);
    else if (!S_ISDIR(st.st_mode))
        err_set(e, ERR_IO, "%s is not a directory", dir);
    else if (st.st_uid != geteuid()) /* its owner could put other files in the place of ours */
        err_set(e, ERR_READ_ONLY, "%s belongs to user %ld, not to this one", dir, (long)st.st_uid);
    else if (st.st_mode & 022)
        err_set(e, ERR_READ_ONLY, "%s can be written by others (mode %04o): chmod go-w %s", dir,
                (unsigned)(st.st_mode & 07777), dir);
    else if (access(dir, W_OK | X_OK) != 0)
        err_set(e, ERR_READ_ONLY, "%s: %s", dir, strerror(errno));
    else
        return dir;
fail:
    free(dir);
    return NULL;
}

static enum err write_all(int fd, const char *bytes, size_t len, const char *path, struct error *e)
{
    while (len) {
        ssize_t n = write(fd, bytes, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return err_set_errno(e, "cannot write", path);
        bytes += n;
        len -= (size_t)n;
    }
    return fsync(fd) == 0 ? ERR_OK : err_set_errno(e, "cannot sync", path);
}

static enum err sync_dir(const char *dir, struct error *e)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum err code = fd >= 0 && fsync(fd) == 0 ? ERR_OK : err_set_errno(e, "cannot sync", dir);
    if (fd >= 0)
        close(fd);
    return code;
}

enum err conf_write_file(const char *dir, const char *name, const char *bytes, size_t len,
                         struct error *e)
{
    char *path = xasprintf("%s/%s", dir, name), *fresh = xasprintf("%s.new", path);
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    enum err code =
        fd < 0 ? err_set_errno(e, "cannot make", fresh) : write_all(fd, bytes, len, fresh, e);
    if (fd >= 0)
        close(fd);
    if (code == ERR_OK && rename(fresh, path) != 0)
        code = err_set_errno(e, "cannot rename", fresh);
    if (code == ERR_OK)
        code = sync_dir(dir, e);
    if (code != ERR_OK && fd >= 0)
        unlink(fresh);
    free(fresh);
    free(path);
    return code;
}
