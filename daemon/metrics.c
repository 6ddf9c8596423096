/* SPDX-License-Identifier: MIT */
/*
 * Prometheus text format 0.0.4. Freshness comes from the ledger (times of passes that ended well), so that a pass that failed or was
 * cancelled cannot refresh it. What is not known yet has no sample: absent() in an alert rule sees that, a zero would hide it.
 */
#include <string.h>

#include <oxenlite/atomic.h>

#include "daemon.h"

/* Label values: \ " and newline escaped; util_escape() has made the rest harmless. */
static char *label(const char *value)
{
        cleanup_free char *text = util_escape(value);
        char *out = text ? malloc(strlen(text) * 2 + 1) : NULL, *to = out;

        if (!out)
                return NULL;
        for (const char *p = text; *p; p++) {
                if (*p == '\\' || *p == '"')
                        *to++ = '\\';
                *to++ = *p;
        }
        *to = '\0';
        return out;
}

static void head(struct evbuffer *to, const char *name, const char *type, const char *help)
{
        (void)evbuffer_add_printf(to, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* One sample of @r; @key NULL: without a second label. */
static void sample(struct evbuffer *to, const char *name, const struct repository *r, const char *key,
                   const char *value, double number)
{
        cleanup_free char *path = label(r->path);
        cleanup_free char *second = label(value ? value : "");

        if (!path || !second)
                return;
        if (key)
                (void)evbuffer_add_printf(to, "%s{repository=\"%s\",%s=\"%s\"} %.17g\n", name, path, key, second,
                                          number);
        else
                (void)evbuffer_add_printf(to, "%s{repository=\"%s\"} %.17g\n", name, path, number);
}

typedef void each_fn(struct evbuffer *to, const char *name, const struct repository *r);

static void each_age(struct evbuffer *to, const char *name, const struct repository *r)
{
        const struct oxl_scrub_status *s = &r->facts.status;
        /* Before the first pass nothing is known to be younger than the start of time. */
        if (!r->facts.have_status || s->files == 0 || s->oldest_ns == 0)
                return;
        double age = (double)(util_now_ns() - s->oldest_ns) / 1e9;
        sample(to, name, r, NULL, NULL, age < 0 ? 0 : age);
}

static void each_clean(struct evbuffer *to, const char *name, const struct repository *r)
{
        if (r->facts.status.last_clean_ns)
                sample(to, name, r, NULL, NULL, (double)r->facts.status.last_clean_ns / 1e9);
}

static void each_met(struct evbuffer *to, const char *name, const struct repository *r)
{
        if (r->facts.have_status)
                sample(to, name, r, NULL, NULL, r->facts.status.met);
}

static void each_never(struct evbuffer *to, const char *name, const struct repository *r)
{
        if (r->facts.have_status)
                sample(to, name, r, NULL, NULL, (double)r->facts.status.never_bytes);
}

static void each_verified(struct evbuffer *to, const char *name, const struct repository *r)
{
        sample(to, name, r, NULL, NULL, (double)r->facts.bytes_verified);
}

/* By slug; what only the ledger knows since the start has the slug "recorded" until a pass has listed it again. */
static void each_finding(struct evbuffer *to, const char *name, const struct repository *r)
{
        const struct findings *f = &r->facts.findings;
        uint64_t open = findings_open(f), all = status_findings_open(r);

        for (size_t i = 0; i < f->n; i++) {
                size_t n = 0, before = 0;
                for (size_t k = 0; k < f->n; k++) {
                        bool same = !f->items[k].repaired && strcmp(f->items[k].slug, f->items[i].slug) == 0;
                        n += same;
                        before += same && k < i;
                }
                if (!f->items[i].repaired && before == 0)
                        sample(to, name, r, "slug", f->items[i].slug, (double)n);
        }
        if (f->more)
                sample(to, name, r, "slug", "more", (double)f->more);
        if (all > open)
                sample(to, name, r, "slug", "recorded", (double)(all - open));
        if (all == 0 && r->facts.findings_known)
                sample(to, name, r, "slug", "", 0);
}

static void each_swept(struct evbuffer *to, const char *name, const struct repository *r)
{
        for (int p = 0; p < OXL_SWEEP_PROOFS; p++)
                if (oxl_sweep_proof_removes((enum oxl_sweep_proof)p))
                        sample(to, name, r, "proof", oxl_sweep_proof_slug((enum oxl_sweep_proof)p),
                               (double)r->facts.swept[p].files);
}

static void each_kept(struct evbuffer *to, const char *name, const struct repository *r)
{
        for (int p = 0; p < OXL_SWEEP_PROOFS; p++)
                if (r->read_only || !oxl_sweep_proof_removes((enum oxl_sweep_proof)p))
                        sample(to, name, r, "proof", oxl_sweep_proof_slug((enum oxl_sweep_proof)p),
                               (double)r->facts.kept[p].files);
}

static void each_recovery(struct evbuffer *to, const char *name, const struct repository *r)
{
        for (int i = 0; i < OUTCOMES; i++)
                sample(to, name, r, "outcome", outcome_names[i], (double)r->facts.recoveries[i]);
}

static void each_latency(struct evbuffer *to, const char *name, const struct repository *r)
{
        if (!r->facts.read_us_p99)
                return;
        sample(to, name, r, "quantile", "0.5", (double)r->facts.read_us_p50 / 1e6);
        sample(to, name, r, "quantile", "0.99", (double)r->facts.read_us_p99 / 1e6);
}

static void each_failure(struct evbuffer *to, const char *name, const struct repository *r)
{
        for (int k = 0; k < JOB_KINDS; k++)
                sample(to, name, r, "job", job_names[k], (double)r->jobs[k].failures_total);
}

static void each_present(struct evbuffer *to, const char *name, const struct repository *r)
{
        sample(to, name, r, NULL, NULL, r->present);
}

static void each_intents(struct evbuffer *to, const char *name, const struct repository *r)
{
        if (r->facts.have_status)
                sample(to, name, r, NULL, NULL, (double)r->facts.status.open_intents);
}

static const struct {
        const char *name, *type, *help;
        each_fn *fn;
} families[] = {
        { "oxen_lite_oldest_unverified_age_seconds", "gauge",
          "Time since the byte that was verified longest ago was verified; none while a byte never was.", each_age },
        { "oxen_lite_never_verified_bytes", "gauge", "Bytes not verified since they are there.", each_never },
        { "oxen_lite_last_clean_scrub_timestamp_seconds", "gauge",
          "End of the last complete pass that found nothing; none before the first.", each_clean },
        { "oxen_lite_contract_met", "gauge", "1: every byte was verified within the contract's days.", each_met },
        { "oxen_lite_bytes_verified_total", "counter", "Bytes read and verified since the daemon started.",
          each_verified },
        { "oxen_lite_findings", "gauge", "Open findings.", each_finding },
        { "oxen_lite_temps_swept_total", "counter", "Stale temporary files removed since the daemon started.",
          each_swept },
        { "oxen_lite_temps_kept", "gauge", "Temporary files kept at the last sweep.", each_kept },
        { "oxen_lite_recoveries_total", "counter", "Interrupted operations ended since the daemon started.",
          each_recovery },
        { "oxen_lite_open_intents", "gauge", "Operations begun and not ended, of the living and the dead.",
          each_intents },
        { "oxen_lite_read_latency_seconds", "gauge", "Latency of reads of the last pass.", each_latency },
        { "oxen_lite_job_failures_total", "counter", "Jobs that failed since the daemon started.", each_failure },
        { "oxen_lite_repository_present", "gauge", "1: the repository is there.", each_present },
};

void metrics_write(struct daemon *d, struct evbuffer *to)
{
        for (size_t i = 0; i < ARRAY_LEN(families); i++) {
                head(to, families[i].name, families[i].type, families[i].help);
                for (size_t k = 0; k < d->n_repositories; k++)
                        if (d->repositories[k]->listed)
                                families[i].fn(to, families[i].name, d->repositories[k]);
        }
        head(to, "oxen_lite_config_ok", "gauge", "0: daemon.json has errors and the old settings hold.");
        (void)evbuffer_add_printf(to, "oxen_lite_config_ok %d\n", d->config_ok);
        head(to, "oxen_lite_paused", "gauge", "1: scrubbing is paused everywhere.");
        (void)evbuffer_add_printf(to, "oxen_lite_paused %d\n", d->state.paused);
        head(to, "oxen_lite_start_timestamp_seconds", "gauge", "When the daemon started.");
        (void)evbuffer_add_printf(to, "oxen_lite_start_timestamp_seconds %.17g\n", (double)d->started_ns / 1e9);
        head(to, "oxen_lite_up", "gauge", "1: the daemon runs; 0: it has stopped in order.");
        (void)evbuffer_add_printf(to, "oxen_lite_up %d\n", !d->stopping);
}

/* For node_exporter, which reads the file whenever it likes: old or new, never a part. */
void metrics_textfile(struct daemon *d)
{
        cleanup_error struct oxl_error err = OXL_ERROR_INIT;
        const struct oxl_atomic_options options = { .mode = 0644 };

        if (!d->config.textfile)
                return;
        d->textfile_ms = util_monotonic_ms();
        struct evbuffer *text = evbuffer_new();
        if (!text)
                return;
        metrics_write(d, text);
        size_t n = evbuffer_get_length(text);
        const void *bytes = evbuffer_pullup(text, -1);
        if (bytes && oxl_atomic_write_to_path(d->config.textfile, bytes, n, &options, NULL, &err) < 0) {
                cleanup_free char *why = util_error_text(&err);
                log_say(LOG_ERROR, "metrics: %s", why ? why : "out of memory");
        }
        evbuffer_free(text);
}
