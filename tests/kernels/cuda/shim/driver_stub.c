// A libcuda.so.1 that tells on stdout what it is asked to do. STUB_REFUSES names a call that fails.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int Status;
enum { kSuccess = 0, kInvalidValue = 1 };

static Status answer(const char* call) {
  const char* refused = getenv("STUB_REFUSES");
  fflush(stdout);
  return refused && strcmp(refused, call) == 0 ? kInvalidValue : kSuccess;
}

static Status stub_init(unsigned flags) {
  (void)flags;
  return kSuccess;
}

static Status stub_version(int* version) {
  *version = 13000;
  return kSuccess;
}

static Status stub_device(int* device, int ordinal) {
  printf("device %d\n", ordinal);
  *device = ordinal;
  return answer("cuDeviceGet");
}

static Status stub_retain(void** context, int device) {
  printf("retain the context of %d\n", device);
  *context = (void*)0x99;
  return answer("cuDevicePrimaryCtxRetain");
}

static Status stub_current(void* context) {
  printf("current context %p\n", context);
  return answer("cuCtxSetCurrent");
}

static Status stub_load(void** module, const void* image) {
  printf("load %.3s\n", (const char*)image + 1);
  *module = (void*)0x12;
  return answer("cuModuleLoadData");
}

static Status stub_function(void** function, void* module, const char* name) {
  printf("function %s of module %p\n", name, module);
  *function = (void*)0x34;
  return answer("cuModuleGetFunction");
}

// Every kernel here takes 64-bit arguments; the test launches one with two.
static Status stub_launch(void* function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                          unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared,
                          void* stream, void** parameters, void** extra) {
  printf("launch %p, grid %u %u %u, block %u %u %u, shared %u, stream %lx, extra %lx, %llx %llx\n",
         function, grid_x, grid_y, grid_z, block_x, block_y, block_z, shared, (long)stream,
         (long)extra, *(unsigned long long*)parameters[0], *(unsigned long long*)parameters[1]);
  return answer("cuLaunchKernel");
}

Status cuGetProcAddress_v2(const char* name, void** function, int version, uint64_t flags,
                           int* found);

Status cuGetProcAddress(const char* name, void** function, int version, uint64_t flags) {
  static const struct {
    const char* name;
    void* function;
  } known[] = {
      {"cuInit", stub_init},
      {"cuDriverGetVersion", stub_version},
      {"cuDeviceGet", stub_device},
      {"cuDevicePrimaryCtxRetain", stub_retain},
      {"cuCtxSetCurrent", stub_current},
      {"cuModuleLoadData", stub_load},
      {"cuModuleGetFunction", stub_function},
      {"cuLaunchKernel", stub_launch},
      {"cuGetProcAddress", cuGetProcAddress_v2},
      {"cuGetProcAddress_v2", cuGetProcAddress_v2},
  };
  (void)version;
  (void)flags;
  *function = NULL;
  for (size_t i = 0; i < sizeof known / sizeof known[0]; ++i) {
    if (strcmp(known[i].name, name) == 0) *function = known[i].function;
  }
  return kSuccess;
}

Status cuGetProcAddress_v2(const char* name, void** function, int version, uint64_t flags,
                           int* found) {
  if (found) *found = 0;
  return cuGetProcAddress(name, function, version, flags);
}
