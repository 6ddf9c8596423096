/* SPDX-License-Identifier: MIT */
/* The status document (schema/json/daemon-status.json) and the list of findings. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "daemon.h"

static void set_time(struct oxl_json *to, const char *key, int64_t ns)
{
        time_t seconds = (time_t)(ns / 1000000000);
        struct tm t;
        char text[40];

        if (ns > 0 && gmtime_r(&seconds, &t) && strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S+00:00", &t) > 0)
                oxl_json_set_string(to, key, text);
        else
                oxl_json_set_string(to, key, NULL);
}

const char *status_state(const struct repository *r)
{
        static const char *const passing[] = {
                [OXL_SCRUB_READING] = "scrubbing",   [OXL_SCRUB_BACKING_OFF] = "backing-off",
                [OXL_SCRUB_PAUSED] = "paused",       [OXL_SCRUB_WAITING] = "waiting",
                [OXL_SCRUB_REPAIRING] = "scrubbing",
        };

        if (!r->present)
                return "absent";
        if (r->jobs[JOB_SCRUB].worker)
                return passing[r->progress.state];
        if (r->jobs[JOB_MAINTAIN].worker)
                return "maintaining";
        if (r->jobs[JOB_MAINTAIN].failures || r->jobs[JOB_SCRUB].failures)
                return "failing";
        return supervisor_paused(r) ? "paused" : "idle";
}

uint64_t status_findings_open(const struct repository *r)
{
        const struct facts *f = &r->facts;
        uint64_t open = findings_open(&f->findings);
        return f->findings_known || open > f->status.findings ? open : f->status.findings;
}

static struct oxl_json *contract(const struct repository *r)
{
        struct oxl_json *json = oxl_json_object();

        oxl_json_set_int(json, "days", (int)r->scrub.contract.days);
        if (r->facts.have_status)
                oxl_json_set_bool(json, "met", r->facts.status.met);
        else
                oxl_json_set_string(json, "met", NULL);
        set_time(json, "due", r->facts.status.due_ns);
        return json;
}

static struct oxl_json *coverage(const struct oxl_scrub_status *s)
{
        struct oxl_json *json = oxl_json_object(), *ages = oxl_json_array();

        oxl_json_set_u64(json, "files", s->files);
        oxl_json_set_u64(json, "bytes", s->bytes);
        oxl_json_set_u64(json, "verified_files", s->verified_files);
        oxl_json_set_u64(json, "verified_bytes", s->verified_bytes);
        oxl_json_set_u64(json, "never_files", s->never_files);
        oxl_json_set_u64(json, "never_bytes", s->never_bytes);
        oxl_json_set_u64(json, "overdue_files", s->overdue_files);
        oxl_json_set_u64(json, "overdue_bytes", s->overdue_bytes);
        oxl_json_set_u64(json, "damaged_files", s->damaged_files);
        oxl_json_set_u64(json, "rate_needed", s->rate_needed);
        set_time(json, "oldest", s->oldest_ns);
        for (size_t i = 0; i < ARRAY_LEN(s->by_age); i++) {
                char text[24];
                (void)snprintf(text, sizeof text, "%ju", (uintmax_t)s->by_age[i]);
                oxl_json_append(ages, oxl_json_string(text));
        }
        oxl_json_set(json, "by_age", ages);
        return json;
}

static struct oxl_json *pass(const struct repository *r)
{
        struct oxl_json *json = oxl_json_object();
        const struct oxl_scrub_progress *p = &r->progress;

        oxl_json_set_string(json, "state", oxl_scrub_state_text(p->state));
        oxl_json_set_u64(json, "bytes", p->bytes);
        oxl_json_set_u64(json, "bytes_total", p->bytes_total);
        return json;
}

static struct oxl_json *files_and_bytes(uint64_t files, uint64_t bytes)
{
        struct oxl_json *row = oxl_json_object();

        oxl_json_set_u64(row, "files", files);
        oxl_json_set_u64(row, "bytes", bytes);
        return row;
}

/* Where nothing may be removed, what is stale is kept, too. */
static struct oxl_json *temps(const struct repository *r)
{
        struct oxl_json *json = oxl_json_object(), *swept = oxl_json_object(), *kept = oxl_json_object();
        const struct facts *f = &r->facts;

        for (int p = 0; p < OXL_SWEEP_PROOFS; p++) {
                const char *slug = oxl_sweep_proof_slug((enum oxl_sweep_proof)p);
                bool removes = oxl_sweep_proof_removes((enum oxl_sweep_proof)p);
                if (removes)
                        oxl_json_set(swept, slug, files_and_bytes(f->swept[p].files, f->swept[p].bytes));
                if (!removes || r->read_only)
                        oxl_json_set(kept, slug, files_and_bytes(f->kept[p].files, f->kept[p].bytes));
        }
        oxl_json_set(json, "swept", swept);
        oxl_json_set(json, "kept", kept);
        return json;
}

static struct oxl_json *jobs(const struct repository *r)
{
        struct oxl_json *json = oxl_json_object();

        for (int k = 0; k < JOB_KINDS; k++) {
                const struct job *job = &r->jobs[k];
                struct oxl_json *row = oxl_json_object();
                oxl_json_set_bool(row, "running", job->worker != NULL);
                oxl_json_set_u64(row, "pid", job->worker ? (uint64_t)child_pid(job->worker) : 0);
                oxl_json_set_u64(row, "done", job->done);
                oxl_json_set_u64(row, "failed", job->failures_total);
                oxl_json_set_string(row, "error", job->error);
                oxl_json_set(json, job_names[k], row);
        }
        return json;
}

static const char *last_error(const struct repository *r)
{
        if (!r->present)
                return r->absent_why;
        return r->jobs[JOB_MAINTAIN].error ? r->jobs[JOB_MAINTAIN].error : r->jobs[JOB_SCRUB].error;
}

static struct oxl_json *repository(const struct repository *r)
{
        struct oxl_json *json = oxl_json_object(), *recoveries = oxl_json_object(), *latency = oxl_json_object();
        const struct oxl_scrub_status *s = &r->facts.status;
        static const char *const kinds[] = {
                [CONFIG_AUTO] = "auto", [CONFIG_NATIVE] = "native", [CONFIG_OXEN] = "oxen"
        };

        oxl_json_set_name(json, "path", r->path, strlen(r->path));
        oxl_json_set_string(json, "kind", r->present ? r->oxen ? "oxen" : "native" : kinds[r->kind]);
        oxl_json_set_string(json, "state", status_state(r));
        oxl_json_set_bool(json, "read_only", r->read_only);
        oxl_json_set_bool(json, "paused", supervisor_paused(r));
        oxl_json_set(json, "contract", contract(r));
        oxl_json_set(json, "coverage", r->facts.have_status ? coverage(s) : oxl_json_string(NULL));
        oxl_json_set_u64(json, "rate", r->progress.rate);
        oxl_json_set(json, "pass", r->jobs[JOB_SCRUB].worker ? pass(r) : oxl_json_string(NULL));
        set_time(json, "last_pass", s->last_pass_ns);
        set_time(json, "last_clean", s->last_clean_ns);
        oxl_json_set_u64(json, "findings", status_findings_open(r));
        oxl_json_set(json, "temps", temps(r));
        oxl_json_set_u64(json, "intents", s->open_intents);
        for (int i = 0; i < OUTCOMES; i++)
                oxl_json_set_u64(recoveries, outcome_names[i], r->facts.recoveries[i]);
        oxl_json_set(json, "recoveries", recoveries);
        oxl_json_set_u64(json, "bytes_verified", r->facts.bytes_verified);
        oxl_json_set_u64(latency, "p50_us", r->facts.read_us_p50);
        oxl_json_set_u64(latency, "p99_us", r->facts.read_us_p99);
        oxl_json_set(json, "read_latency", latency);
        oxl_json_set(json, "jobs", jobs(r));
        oxl_json_set_string(json, "last_error", last_error(r));
        return json;
}

static struct oxl_json *config(const struct daemon *d)
{
        struct oxl_json *json = oxl_json_object(), *errors = oxl_json_array();

        oxl_json_set_name(json, "path", d->config_path, strlen(d->config_path));
        oxl_json_set_bool(json, "ok", d->config_ok);
        for (size_t i = 0; i < d->config_errors.n; i++)
                oxl_json_append(errors, oxl_json_string(d->config_errors.lines[i]));
        oxl_json_set(json, "errors", errors);
        return json;
}

struct oxl_json *status_document(struct daemon *d, struct repository *only)
{
        struct oxl_json *json = oxl_json_object(), *list = oxl_json_array();

        oxl_json_set_string(json, "schema", "oxen-lite.daemon-status/1");
        oxl_json_set_string(json, "version", OXL_VERSION);
        oxl_json_set_u64(json, "pid", (uint64_t)getpid());
        set_time(json, "started", d->started_ns);
        set_time(json, "now", util_now_ns());
        oxl_json_set(json, "config", config(d));
        oxl_json_set_bool(json, "paused", d->state.paused);
        oxl_json_set_u64(json, "limit", d->state.limit);
        oxl_json_set_string(json, "by", d->state.by);
        for (size_t i = 0; i < d->n_repositories; i++)
                if (d->repositories[i]->listed && (!only || only == d->repositories[i]))
                        oxl_json_append(list, repository(d->repositories[i]));
        oxl_json_set(json, "repositories", list);
        return json;
}

static struct oxl_json *passes(const struct oxl_scrub_status *s)
{
        struct oxl_json *list = oxl_json_array();

        for (size_t i = 0; i < ARRAY_LEN(s->passes) && s->passes[i].end_ns; i++) {
                const struct oxl_pass *p = &s->passes[i];
                struct oxl_json *row = oxl_json_object();
                oxl_json_set_string(row, "by", p->scrub ? "oxen-lited" : "fsck");
                set_time(row, "begin", p->begin_ns);
                set_time(row, "end", p->end_ns);
                oxl_json_set_u64(row, "ms",
                                 p->end_ns > p->begin_ns ? (uint64_t)(p->end_ns - p->begin_ns) / 1000000 : 0);
                oxl_json_set_u64(row, "files", p->files);
                oxl_json_set_u64(row, "bytes", p->bytes);
                oxl_json_set_u64(row, "findings", p->findings);
                oxl_json_set_u64(row, "unreadable", p->unreadable);
                oxl_json_set_bool(row, "whole", p->whole);
                oxl_json_set_bool(row, "clean", p->clean);
                oxl_json_append(list, row);
        }
        return list;
}

struct oxl_json *status_findings(struct repository *r)
{
        struct oxl_json *json = oxl_json_object(), *list = oxl_json_array();
        const struct findings *f = &r->facts.findings;

        oxl_json_set_string(json, "schema", "oxen-lite.daemon-findings/1");
        oxl_json_set_name(json, "path", r->path, strlen(r->path));
        oxl_json_set_bool(json, "known", r->facts.findings_known);
        oxl_json_set_u64(json, "total", status_findings_open(r));
        for (size_t i = 0; i < f->n; i++) {
                struct oxl_json *row = oxl_json_object();
                oxl_json_set_string(row, "id", f->items[i].id);
                oxl_json_set_string(row, "slug", f->items[i].slug);
                oxl_json_set_string(row, "severity", f->items[i].severity);
                oxl_json_set_string(row, "path", f->items[i].path);
                oxl_json_set_string(row, "object", *f->items[i].object ? f->items[i].object : NULL);
                oxl_json_set_string(row, "verdict", f->items[i].verdict);
                oxl_json_set_string(row, "detail", f->items[i].detail);
                oxl_json_set_bool(row, "repaired", f->items[i].repaired);
                oxl_json_append(list, row);
        }
        oxl_json_set(json, "findings", list);
        oxl_json_set(json, "passes", passes(&r->facts.status));
        return json;
}
