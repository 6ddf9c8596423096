/* SPDX-License-Identifier: MIT */
/*
 * What workers say, one JSON object a line: {"event": ...}. A worker runs as the repository's owner, so nothing here is believed beyond
 * its own repository's row: types are checked, texts are bounded by the line, numbers of findings by FINDINGS_MAX.
 *
 *   alive                             it works: CPU time or reads since the last one
 *   recovered  verb, outcome, why     one interrupted operation was ended
 *   temp       path, proof, removed, bytes, why, [error]
 *   swept      removed, kept (rows of proof, files, bytes), failed, unreadable
 *   recorded   id, slug, severity, path, detail     a finding of the ledger; `status` ends the list
 *   status     members of struct oxl_scrub_status; passes: rows of struct oxl_pass
 *   progress   members of struct oxl_scrub_progress
 *   finding    id, slug, severity, path, object, verdict, detail, repaired
 *   repaired   id, slug, path, verdict, source, detail
 *   notice     path, text
 *   done       busy, complete, clean, cancelled, files, bytes, findings, unreadable, repaired, left, over_budget
 *   failed     text (with its slug), cancelled
 */
#include <stdio.h>
#include <string.h>

#include "daemon.h"

const char *const job_names[JOB_KINDS] = { [JOB_MAINTAIN] = "maintain", [JOB_SCRUB] = "scrub" };
const char *const outcome_names[OUTCOMES] = {
        [OUTCOME_FORWARD] = "rolled-forward", [OUTCOME_BACK] = "rolled-back", [OUTCOME_SUPERSEDED] = "superseded"
};

struct line {
        struct repository *repository;
        struct report *report;
        const struct oxl_json *json;
        enum job_kind kind;
};

static const char *text(const struct line *l, const char *key)
{
        const char *t = oxl_json_get_string(l->json, key);
        return t ? t : "";
}

static uint64_t number(const struct oxl_json *json, const char *key)
{
        uint64_t n = 0;
        (void)oxl_json_get_u64(json, key, &n);
        return n;
}

static bool flag(const struct line *l, const char *key)
{
        bool b = false;
        (void)oxl_json_get_bool(l->json, key, &b);
        return b;
}

static void finding_done(struct finding *f)
{
        free(f->id);
        free(f->slug);
        free(f->severity);
        free(f->path);
        free(f->object);
        free(f->verdict);
        free(f->detail);
        *f = (struct finding){ 0 };
}

void findings_done(struct findings *f)
{
        for (size_t i = 0; i < f->n; i++)
                finding_done(&f->items[i]);
        free(f->items);
        *f = (struct findings){ 0 };
}

uint64_t findings_open(const struct findings *f)
{
        uint64_t n = f->more;
        for (size_t i = 0; i < f->n; i++)
                n += !f->items[i].repaired;
        return n;
}

void report_done(struct report *p)
{
        free(p->error);
        findings_done(&p->found);
        *p = (struct report){ 0 };
}

/* --- lists of findings ------------------------------------------------------------------------------------------------ */

static bool copy_finding(const struct line *l, struct finding *to)
{
        struct finding f = {
                .id = strdup(text(l, "id")),
                .slug = strdup(text(l, "slug")),
                .severity = strdup(text(l, "severity")),
                .path = strdup(text(l, "path")),
                .object = strdup(text(l, "object")),
                .verdict = strdup(text(l, "verdict")),
                .detail = strdup(text(l, "detail")),
                .repaired = flag(l, "repaired"),
        };
        if (!f.id || !f.slug || !f.severity || !f.path || !f.object || !f.verdict || !f.detail) {
                finding_done(&f);
                return false;
        }
        *to = f;
        return true;
}

static struct finding *find_finding(struct findings *list, const char *id)
{
        for (size_t i = 0; i < list->n; i++)
                if (strcmp(list->items[i].id, id) == 0)
                        return &list->items[i];
        return NULL;
}

/* Takes what @f owns, when there is room. */
static bool append(struct findings *list, const struct finding *f)
{
        struct finding *items = list->n < FINDINGS_MAX ? realloc(list->items, (list->n + 1) * sizeof *items) : NULL;

        if (!items)
                return false;
        list->items = items;
        items[list->n++] = *f;
        return true;
}

/* A finding that is there already is replaced. */
static void add_finding(const struct line *l, struct findings *list)
{
        struct finding *old = find_finding(list, text(l, "id"));
        struct finding copy;

        if (!old && list->n == FINDINGS_MAX) {
                list->more++;
                return;
        }
        if (!copy_finding(l, &copy))
                return;
        if (old) {
                finding_done(old);
                *old = copy;
                return;
        }
        if (!append(list, &copy))
                finding_done(&copy);
}

/* What the ledger has, @total in all, is what is known, but for what a pass told and may not have written yet. What a pass told of the same
 * finding says more. */
static void take_recorded(struct line *l, uint64_t total)
{
        struct facts *f = &l->repository->facts;
        struct findings *list = &l->report->found;

        for (size_t i = 0; i < f->findings.n; i++) {
                struct finding *told = &f->findings.items[i], *row = find_finding(list, told->id);
                if (row) {
                        struct finding swap = *row;
                        *row = *told;
                        *told = swap;
                } else if (!f->findings_recorded && append(list, told)) {
                        *told = (struct finding){ 0 };
                        total++;
                }
        }
        findings_done(&f->findings);
        f->findings = *list;
        f->findings.more = total > f->findings.n ? total - f->findings.n : 0;
        *list = (struct findings){ 0 };
        f->findings_known = true;
}

/* --- maintain ----------------------------------------------------------------------------------------------------------- */

static void on_recovered(struct line *l)
{
        struct log_about about = { l->repository->path, NULL, NULL };
        const char *outcome = text(l, "outcome");

        for (size_t i = 0; i < OUTCOMES; i++)
                if (strcmp(outcome_names[i], outcome) == 0)
                        l->repository->facts.recoveries[i]++;
        log_about(LOG_NOTE, &about, "an interrupted %s was ended: %s%s%s%s", text(l, "verb"), outcome,
                  *text(l, "why") ? ": " : "", text(l, "why"),
                  number(l->json, "kept") > 0 ? "; what it kept of files: oxen-lite op log" : "");
}

static void on_temp(struct line *l)
{
        struct log_about about = { l->repository->path, NULL, NULL };

        if (*text(l, "error"))
                log_about(LOG_WARN, &about, "cannot remove the stale '%s' (%s): %s", text(l, "path"), text(l, "proof"),
                          text(l, "error"));
        else if (flag(l, "removed"))
                log_about(LOG_INFORM, &about, "removed the stale '%s' (%s): %s", text(l, "path"), text(l, "proof"),
                          text(l, "why"));
}

static void on_swept(struct line *l)
{
        struct facts *f = &l->repository->facts;
        const struct oxl_json *by_proof = oxl_json_get(l->json, "by_proof");

        for (int p = 0; p < OXL_SWEEP_PROOFS; p++) {
                const struct oxl_json *row = oxl_json_get(by_proof, oxl_sweep_proof_slug((enum oxl_sweep_proof)p));
                bool removes = oxl_sweep_proof_removes((enum oxl_sweep_proof)p) && !l->repository->read_only;
                uint64_t files = number(row, "files"), bytes = number(row, "bytes");
                if (removes) {
                        f->swept[p].files += files;
                        f->swept[p].bytes += bytes;
                } else {
                        f->kept[p].files = files;
                        f->kept[p].bytes = bytes;
                }
        }
}

static int64_t time_of(const struct oxl_json *json, const char *key)
{
        uint64_t n = number(json, key);
        return n > INT64_MAX ? 0 : (int64_t)n;
}

static void take_passes(const struct oxl_json *list, struct oxl_scrub_status *s)
{
        const struct oxl_json *row = NULL;
        const char *key = NULL;
        size_t pos = 0;

        for (size_t i = 0; list && i < ARRAY_LEN(s->passes) && oxl_json_member(list, &pos, &key, &row); i++) {
                struct oxl_pass *p = &s->passes[i];
                *p = (struct oxl_pass){
                        .begin_ns = time_of(row, "begin"),
                        .end_ns = time_of(row, "end"),
                        .files = number(row, "files"),
                        .bytes = number(row, "bytes"),
                        .findings = number(row, "findings"),
                        .unreadable = number(row, "unreadable"),
                };
                (void)oxl_json_get_bool(row, "whole", &p->whole);
                (void)oxl_json_get_bool(row, "clean", &p->clean);
                (void)oxl_json_get_bool(row, "scrub", &p->scrub);
        }
}

static void on_status(struct line *l)
{
        struct oxl_scrub_status s = { 0 };
        const struct {
                const char *key;
                uint64_t *to;
        } unsigned_members[] = {
                { "files", &s.files },
                { "bytes", &s.bytes },
                { "verified_files", &s.verified_files },
                { "verified_bytes", &s.verified_bytes },
                { "never_files", &s.never_files },
                { "never_bytes", &s.never_bytes },
                { "overdue_files", &s.overdue_files },
                { "overdue_bytes", &s.overdue_bytes },
                { "damaged_files", &s.damaged_files },
                { "findings", &s.findings },
                { "open_intents", &s.open_intents },
                { "rate_needed", &s.rate_needed },
        };
        const struct {
                const char *key;
                int64_t *to;
        } times[] = {
                { "oldest", &s.oldest_ns },
                { "last_pass", &s.last_pass_ns },
                { "last_clean", &s.last_clean_ns },
                { "due", &s.due_ns },
        };

        for (size_t i = 0; i < ARRAY_LEN(unsigned_members); i++)
                *unsigned_members[i].to = number(l->json, unsigned_members[i].key);
        for (size_t i = 0; i < ARRAY_LEN(times); i++)
                *times[i].to = time_of(l->json, times[i].key);
        take_passes(oxl_json_get(l->json, "passes"), &s);
        s.met = flag(l, "met");
        for (size_t i = 0; i < ARRAY_LEN(s.by_age); i++) {
                char key[16];
                (void)snprintf(key, sizeof key, "age_%zu", i);
                s.by_age[i] = number(l->json, key);
        }
        l->repository->facts.status = s;
        l->repository->facts.have_status = true;
        take_recorded(l, s.findings);
}

/* --- scrub -------------------------------------------------------------------------------------------------------------- */

static void on_progress(struct line *l)
{
        struct oxl_scrub_progress p = {
                .bytes = number(l->json, "bytes"),
                .bytes_total = number(l->json, "bytes_total"),
                .rate = number(l->json, "rate"),
                .read_us_p50 = number(l->json, "read_us_p50"),
                .read_us_p99 = number(l->json, "read_us_p99"),
        };
        struct facts *f = &l->repository->facts;

        for (int s = OXL_SCRUB_READING; s <= OXL_SCRUB_REPAIRING; s++)
                if (strcmp(oxl_scrub_state_text((enum oxl_scrub_state)s), text(l, "state")) == 0)
                        p.state = (enum oxl_scrub_state)s;
        if (p.bytes > l->report->bytes) {
                f->bytes_verified += p.bytes - l->report->bytes;
                l->report->bytes = p.bytes;
        }
        if (p.read_us_p99) {
                f->read_us_p50 = p.read_us_p50;
                f->read_us_p99 = p.read_us_p99;
        }
        l->repository->progress = p;
}

static void on_recorded(struct line *l)
{
        add_finding(l, &l->report->found);
}

/* Shown at once, not only when the pass has ended; what an earlier pass found stays until this one has seen everything. */
static void on_finding(struct line *l)
{
        struct log_about about = { l->repository->path, text(l, "slug"), text(l, "id") };

        log_about(strcmp(text(l, "severity"), "note") == 0 ? LOG_INFORM : LOG_ERROR, &about, "%s: '%s'%s%s%s%s",
                  text(l, "severity"), text(l, "path"), *text(l, "verdict") ? ", " : "", text(l, "verdict"),
                  *text(l, "detail") ? ": " : "", text(l, "detail"));
        if (strcmp(text(l, "severity"), "note") == 0)
                return;
        add_finding(l, &l->report->found);
        add_finding(l, &l->repository->facts.findings);
        l->repository->facts.findings_recorded = false;
}

static void on_repaired(struct line *l)
{
        struct log_about about = { l->repository->path, text(l, "slug"), text(l, "id") };
        struct finding *f[] = { find_finding(&l->report->found, text(l, "id")),
                                find_finding(&l->repository->facts.findings, text(l, "id")) };
        const char *verdict = text(l, "verdict");

        log_about(LOG_NOTE, &about, "repair of '%s': %s%s%s%s%s", text(l, "path"), verdict,
                  *text(l, "source") ? " from " : "", text(l, "source"), *text(l, "detail") ? ": " : "",
                  text(l, "detail"));
        for (size_t i = 0; i < ARRAY_LEN(f); i++)
                if (f[i] && (strcmp(verdict, "healed") == 0 || strcmp(verdict, "rebuilt") == 0))
                        f[i]->repaired = true;
}

/* --- any ---------------------------------------------------------------------------------------------------------------- */

static void on_alive(struct line *l)
{
        (void)l;
}

static void on_notice(struct line *l)
{
        struct log_about about = { l->repository->path, NULL, NULL };
        log_about(LOG_INFORM, &about, "'%s': %s", text(l, "path"), text(l, "text"));
}

static void on_done(struct line *l)
{
        struct log_about about = { l->repository->path, NULL, NULL };
        struct report *p = l->report;

        p->done = true;
        p->busy = flag(l, "busy");
        p->complete = flag(l, "complete");
        p->cancelled = flag(l, "cancelled");
        if (l->kind != JOB_SCRUB)
                return;
        uint64_t bytes = number(l->json, "bytes");
        if (bytes > p->bytes)
                l->repository->facts.bytes_verified += bytes - p->bytes;
        log_about(LOG_INFORM, &about, "pass %s: %ju files, %ju bytes, %ju findings, %ju unreadable, %ju repaired%s",
                  p->complete ? "complete" : "ended early", (uintmax_t)number(l->json, "files"), (uintmax_t)bytes,
                  (uintmax_t)number(l->json, "findings"), (uintmax_t)number(l->json, "unreadable"),
                  (uintmax_t)number(l->json, "repaired"),
                  flag(l, "over_budget") ? "; too much damage for automatic repair" : "");
}

static void on_failed(struct line *l)
{
        if (flag(l, "cancelled"))
                l->report->cancelled = true;
        else
                util_set(&l->report->error, *text(l, "text") ? text(l, "text") : "failed without saying why");
}

bool report_line(struct repository *r, enum job_kind kind, struct report *p, const char *line, size_t n)
{
        static const struct {
                const char *event;
                void (*fn)(struct line *l);
                bool quiet; /* changes nothing that is shown */
        } events[] = {
                { "alive", on_alive, true },        { "recovered", on_recovered, false },
                { "temp", on_temp, true },          { "swept", on_swept, false },
                { "recorded", on_recorded, true },  { "status", on_status, false },
                { "progress", on_progress, false }, { "finding", on_finding, false },
                { "repaired", on_repaired, false }, { "notice", on_notice, true },
                { "done", on_done, false },         { "failed", on_failed, false },
        };
        cleanup_json struct oxl_json *json = NULL;

        if (oxl_json_parse(line, n, "worker", &json, NULL) < 0)
                return false;
        struct line l = { r, p, json, kind };
        for (size_t i = 0; i < ARRAY_LEN(events); i++) {
                if (strcmp(events[i].event, text(&l, "event")) != 0)
                        continue;
                events[i].fn(&l);
                if (!events[i].quiet)
                        supervisor_changed(r->daemon);
                return true;
        }
        return false;
}
