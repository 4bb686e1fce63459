#include "CArchive.h"

#include <errno.h>
#include <pthread.h>

const int carchive_errno_name = EILSEQ;

void carchive_fail(struct archive *archive, const char *message) {
  archive_set_error(archive, EIO, "%s", message);
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static locale_t utf8, bytes;

static void make_locales(void) {
  utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
  bytes = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

static locale_t enter(const locale_t *locale) {
  pthread_once(&once, make_locales);
  return *locale ? uselocale(*locale) : uselocale((locale_t)0);
}

locale_t carchive_enter_utf8(void) { return enter(&utf8); }
locale_t carchive_enter_bytes(void) { return enter(&bytes); }
void carchive_leave_locale(locale_t old) { uselocale(old); }

// libarchive's own lies beside a table of all its formats, each of which wants libraries of its own. A writer
// calls it for what a tar cannot hold; that is never asked of one here.
void __archive_write_entry_filetype_unsupported(
    struct archive *archive, struct archive_entry *entry, const char *format);

void __archive_write_entry_filetype_unsupported(
    struct archive *archive, struct archive_entry *entry, const char *format) {
  archive_set_error(archive, EINVAL, "%s: a %s cannot hold such a file", archive_entry_pathname(entry), format);
}
