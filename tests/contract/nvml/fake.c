/* Stands in for NVIDIA's management library: does what the file named by FAKE_NVML says, read anew at every call.
 *
 *   gpus=01      serial numbers of the GPUs that are listed, a digit each, in this order
 *   lost=1       those that are lost; likewise reset=, ecc= (three uncorrected errors), action= (wants a reset)
 *   old=1        a driver that does not say what is to be done
 *   hang=f       function f never returns
 *   crash=f      function f ends the process by SIGSEGV
 *   init=18      the code with which initialising ends; likewise count=
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define ENTER(device) \
    do { \
        int code = entered(__func__, (char *)(device)); \
        if (code) return code; \
    } while (0)

static char words[1024];

static const char *word(const char *name) {
    static char value[128];
    char *at = words;
    size_t length = strlen(name);
    value[0] = 0;
    while ((at = strstr(at, name)) != NULL) {
        if ((at == words || at[-1] == ' ') && at[length] == '=') {
            sscanf(at + length + 1, "%100s", value);
            break;
        }
        at += length;
    }
    return value;
}

static void read_words(void) {
    const char *path = getenv("FAKE_NVML");
    FILE *file = path ? fopen(path, "r") : NULL;
    size_t got = file ? fread(words, 1, sizeof words - 1, file) : 0;
    words[got] = 0;
    if (file) fclose(file);
}

static int is(const char *name, const char *serial) { return serial && strchr(word(name), *serial) != NULL; }

static int entered(const char *function, const char *serial) {
    read_words();
    if (!strcmp(word("crash"), function)) raise(SIGSEGV);
    while (!strcmp(word("hang"), function)) pause();
    if (is("lost", serial)) return 15;
    return is("reset", serial) ? 16 : 0;
}

EXPORT int nvmlInit_v2(void) { ENTER(NULL); return atoi(word("init")); }

EXPORT const char *nvmlErrorString(int code) {
    return code == 18 ? "Driver/library version mismatch" : code == 9 ? "Driver Not Loaded" : "Unknown Error";
}

EXPORT int nvmlDeviceGetCount_v2(unsigned *count) {
    ENTER(NULL);
    *count = strlen(word("gpus"));
    return atoi(word("count"));
}

EXPORT int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) {
    ENTER(NULL);
    if (index >= strlen(word("gpus"))) return 2;
    char *serial = calloc(1, 2);
    *serial = word("gpus")[index];
    *device = serial;
    return 0;
}

EXPORT int nvmlDeviceGetUUID(char *device, char *text, unsigned size) {
    snprintf(text, size, "GPU-%c", *device); /* is remembered: a lost GPU that was known still has its name */
    return 0;
}

EXPORT int nvmlDeviceGetName(char *device, char *text, unsigned size) {
    ENTER(device);
    snprintf(text, size, "Fake L4");
    return 0;
}

struct pci { char legacy[16]; unsigned numbers[5]; char address[32]; };

EXPORT int nvmlDeviceGetPciInfo_v3(char *device, struct pci *pci) {
    memset(pci, 0, sizeof *pci);
    snprintf(pci->address, sizeof pci->address, "00000000:0%d:00.0", *device - '0' + 1);
    return 0;
}

EXPORT int nvmlDeviceGetMemoryInfo(char *device, unsigned long long *memory) {
    ENTER(device);
    memory[0] = 24ULL << 30, memory[1] = 16ULL << 30, memory[2] = 8ULL << 30;
    return 0;
}

EXPORT int nvmlDeviceGetUtilizationRates(char *device, unsigned *use) {
    ENTER(device);
    use[0] = 40, use[1] = 20;
    return 0;
}

EXPORT int nvmlDeviceGetTemperature(char *device, unsigned sensor, unsigned *degrees) {
    ENTER(device);
    *degrees = 61 + sensor;
    return 0;
}

EXPORT int nvmlDeviceGetPowerUsage(char *device, unsigned *milliwatts) {
    ENTER(device);
    *milliwatts = 72500;
    return 0;
}

EXPORT int nvmlDeviceGetTotalEccErrors(char *device, unsigned uncorrected, unsigned counter, unsigned long long *count) {
    ENTER(device);
    *count = uncorrected == 1 && counter == 0 && is("ecc", device) ? 3 : 0;
    return 0;
}

EXPORT int nvmlDeviceGetRemappedRows(char *device, unsigned *corrected, unsigned *uncorrected, unsigned *pending,
                                     unsigned *failed) {
    ENTER(device);
    *corrected = 1, *uncorrected = 2, *pending = 0, *failed = 0;
    return 0;
}

struct field { unsigned number, scope; long long timestamp, latency; unsigned type, code; unsigned value[2]; };

EXPORT int nvmlDeviceGetFieldValues(char *device, int count, struct field *field) {
    ENTER(device);
    field->code = count != 1 || field->number != 230 || *word("old") ? 3 : 0;
    field->value[0] = is("action", device) ? 1 : 0;
    return 0;
}
