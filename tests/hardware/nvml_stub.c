/* libnvidia-ml.so.1 that answers from a file of `key=value` lines (STUB_NVML), flattened from a situation's JSON.
   A missing key is NVML_ERROR_NOT_SUPPORTED; a value `!n` is the error n. A handle is 1 + board, a slice's is 1000 + 10·board + slice.
   Compile with -DOLD_DRIVER to leave out the symbols that old drivers lack, -DNO_INIT for one without an initialiser. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <stdint.h>

typedef uintptr_t H;
typedef unsigned int U;
typedef unsigned long long ULL;
static char text[1 << 16];

static char *raw(const char *key) {
    static char value[512];
    size_t n = strlen(key);
    for (char *p = text; *p; p = strchr(p, '\n') + 1)
        if (!strncmp(p, key, n) && p[n] == '=') {
            size_t m = strcspn(p + n + 1, "\n");
            memcpy(value, p + n + 1, m);
            value[m] = 0;
            return value;
        }
    return NULL;
}
static int get(H h, const char *field, char **out) {
    char key[256];
    if (h == 0) snprintf(key, sizeof key, "%s", field);
    else if (h < 1000) snprintf(key, sizeof key, "%d.%s", (int)h - 1, field);
    else snprintf(key, sizeof key, "%d.slices.%d.%s", (int)(h - 1000) / 10, (int)(h - 1000) % 10, field);
    *out = raw(key);
    if (!*out) return 3;
    return (*out)[0] == '!' ? atoi(*out + 1) : 0;
}
static int number(H h, const char *field, ULL *out) {
    char *v;
    int r = get(h, field, &v);
    if (!r) *out = strtoull(v, 0, 0);
    return r;
}
static int string(H h, const char *field, char *out, U size) {
    char *v;
    int r = get(h, field, &v);
    if (!r) snprintf(out, size, "%s", v);
    return r;
}
#define UINT(function, field) int function(H h, U *out) { ULL v; int r = number(h, field, &v); if (!r) *out = (U)v; return r; }
#define LONG(function, field) int function(H h, ULL *out) { return number(h, field, out); }
#define PAIR(function, a, b) int function(H h, U *x, U *y) { ULL v, w; int r = number(h, a, &v); if (!r) r = number(h, b, &w); \
    if (!r) { *x = (U)v; *y = (U)w; } return r; }

#ifndef NO_INIT
int nvmlInitWithFlags(U flags) {
    (void)flags;
    FILE *f = fopen(getenv("STUB_NVML"), "r");
    if (f) { size_t n = fread(text, 1, sizeof text - 2, f); text[n] = '\n'; text[n + 1] = 0; fclose(f); }
    ULL v;
    int r = number(0, "init", &v);
    return r == 3 ? 0 : r;
}
#endif
int nvmlShutdown(void) { return 0; }
const char *nvmlErrorString(int code) { static char t[32]; snprintf(t, sizeof t, "error %d", code); return t; }
int nvmlSystemGetDriverVersion(char *out, U size) { return string(0, "driver", out, size); }
int nvmlSystemGetCudaDriverVersion(int *out) { ULL v; int r = number(0, "cuda", &v); if (!r) *out = (int)v; return r; }
int nvmlDeviceGetCount_v2(U *out) { ULL v; int r = number(0, "count", &v); if (!r) *out = (U)v; return r; }
int nvmlDeviceGetHandleByIndex_v2(U i, H *out) { char *v; *out = 1 + i; int r = get(*out, "handle", &v); return r == 3 ? 0 : r; }
int nvmlDeviceGetHandleByUUID(const char *uuid, H *out) {
    char have[128];
    for (H i = 1; i < 17; i++) {
        if (!string(i, "uuid", have, sizeof have) && !strcmp(have, uuid)) { *out = i; return 0; }
        for (H j = 0; j < 8; j++)
            if (!string(1000 + 10 * (i - 1) + j, "uuid", have, sizeof have) && !strcmp(have, uuid)) { *out = 1000 + 10 * (i - 1) + j; return 0; }
    }
    return 6;
}
int nvmlDeviceGetName(H h, char *out, U size) { return string(h, "name", out, size); }
int nvmlDeviceGetUUID(H h, char *out, U size) { return string(h, "uuid", out, size); }
PAIR(nvmlDeviceGetCudaComputeCapability, "cc_major", "cc_minor")
struct pci { char legacy[16]; U domain, bus, device, id, subsystem; char bus_id[32]; };
int nvmlDeviceGetPciInfo_v3(H h, struct pci *p) {
    ULL id, sub;
    int r = number(h, "pci_device", &id);
    if (r) return r;
    memset(p, 0, sizeof *p);
    p->id = (U)id;
    if (!number(h, "pci_subsystem", &sub)) p->subsystem = (U)sub;
    return 0;
}
struct memory { ULL total, free, used; };
int nvmlDeviceGetMemoryInfo(H h, struct memory *m) {
    int r = number(h, "memory_total", &m->total);
    if (!r && number(h, "memory_free", &m->free)) m->free = m->total;
    if (!r) m->used = m->total - m->free;
    return r;
}
int nvmlDeviceGetAttributes_v2(H h, U *a) { ULL v; int r = number(h, "sms", &v); if (!r) { memset(a, 0, 32); a[0] = (U)v; } return r; }
PAIR(nvmlDeviceGetEccMode, "ecc", "ecc")
PAIR(nvmlDeviceGetMigMode, "mig", "mig")
UINT(nvmlDeviceGetMaxMigDeviceCount, "mig_max")
int nvmlDeviceGetMigDeviceHandleByIndex(H h, U i, H *out) {
    char have[128];
    *out = 1000 + 10 * (h - 1) + i;
    return string(*out, "name", have, sizeof have) ? 6 : 0;
}
int nvmlDeviceGetDeviceHandleFromMigDeviceHandle(H h, H *out) { *out = 1 + (h - 1000) / 10; return 0; }
UINT(nvmlDeviceGetVirtualizationMode, "virtualization")
PAIR(nvmlDeviceGetPowerManagementLimitConstraints, "power_min", "power_max")
UINT(nvmlDeviceGetEnforcedPowerLimit, "power_limit")
UINT(nvmlDeviceGetPowerManagementDefaultLimit, "power_default")
UINT(nvmlDeviceGetPowerUsage, "power")
int nvmlDeviceGetClockInfo(H h, U kind, U *out) { ULL v; int r = number(h, kind == 2 ? "memory_clock" : "sm_clock", &v); if (!r) *out = (U)v; return r; }
int nvmlDeviceGetMaxClockInfo(H h, U kind, U *out) {
    ULL v;
    int r = number(h, kind == 2 ? "memory_clock_max" : "sm_clock_max", &v);
    if (!r) *out = (U)v;
    return r;
}
UINT(nvmlDeviceGetMaxPcieLinkGeneration, "pcie_generation")
UINT(nvmlDeviceGetMaxPcieLinkWidth, "pcie_width")
int nvmlDeviceGetTemperature(H h, U kind, U *out) { (void)kind; ULL v; int r = number(h, "temperature", &v); if (!r) *out = (U)v; return r; }
PAIR(nvmlDeviceGetUtilizationRates_pair, "utilization", "utilization")
int nvmlDeviceGetUtilizationRates(H h, U *u) { return nvmlDeviceGetUtilizationRates_pair(h, u, u + 1); }
LONG(nvmlDeviceGetTotalEnergyConsumption, "energy")
LONG(nvmlDeviceGetCurrentClocksThrottleReasons, "events")
#ifndef OLD_DRIVER
int nvmlSystemGetCudaDriverVersion_v2(int *out) { return nvmlSystemGetCudaDriverVersion(out); }
LONG(nvmlDeviceGetCurrentClocksEventReasons, "events")
UINT(nvmlDeviceGetNumGpuCores, "cores")
struct process { U pid; ULL used; U gpu_instance, compute_instance; };
int nvmlDeviceGetComputeRunningProcesses_v3(H h, U *count, struct process *list) {
    char *v;
    int r = get(h, "pids", &v);
    if (r) return r;
    U n = 0;
    for (char *word = strtok(v, " "); word; word = strtok(NULL, " "), n++)
        if (list && n < *count) { memset(list + n, 0, sizeof *list); list[n].pid = (U)atoi(word); }
    int fits = list && n <= *count;
    *count = n;
    return n == 0 || fits ? 0 : 7;
}
#endif
