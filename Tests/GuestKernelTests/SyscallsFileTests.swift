import Testing

@testable import GuestKernel

@Suite struct SyscallsFileTests {
  private static let here = UInt64(bitPattern: -100)

  private func text(_ bench: TasksBench, _ offset: UInt64, _ text: String) throws -> UInt64 {
    try bench.kernel.current?.space?.write(bench.scratch + offset, Array(text.utf8) + [0])
    return bench.scratch + offset
  }

  @Test func filesComeAndGo() throws {
    let bench = try TasksBench()
    let path = try text(bench, 0x100, "/tmp/a")
    let fd = try #require(bench.call("openat", Self.here, path, 0o102, 0o644))
    #expect(fd == 3)
    let hello = try text(bench, 0x200, "hello")
    #expect(bench.call("write", 3, hello, 5) == 5)
    #expect(bench.call("lseek", 3, 1, 0) == 1)
    #expect(bench.call("read", 3, bench.scratch + 0x300, 100) == 4)
    #expect(try bench.get(0x300, UInt32.self) == 0x6f6c_6c65)
    #expect(bench.call("pread64", 3, bench.scratch + 0x300, 1, 4) == 1)
    #expect(bench.call("fstat", 3, bench.scratch + 0x400) == 0)
    #expect(try bench.get(0x430, UInt64.self) == 5)
    #expect(bench.call("newfstatat", Self.here, path, bench.scratch + 0x400, 0) == 0)
    #expect(bench.call("statx", Self.here, path, 0, 0xfff, bench.scratch + 0x400) == 0)
    #expect(try bench.get(0x428, UInt64.self) == 5)
    let other = try text(bench, 0x180, "/tmp/b")
    #expect(bench.call("renameat2", Self.here, path, Self.here, other, 0) == 0)
    #expect(bench.call("faccessat", Self.here, path, 0) == failed(.ENOENT))
    #expect(bench.call("unlinkat", Self.here, other, 0) == 0)
    #expect(bench.call("close", 3) == 0)
    #expect(bench.call("close", 3) == failed(.EBADF))
    #expect(bench.call("read", 3, bench.scratch, 1) == failed(.EBADF))
    #expect(bench.call("getcwd", bench.scratch + 0x300, 64) == 2)
    #expect(bench.call("getcwd", bench.scratch + 0x300, 1) == failed(.ERANGE))
  }

  @Test func vectors() throws {
    let bench = try TasksBench()
    let path = try text(bench, 0x100, "/tmp/v")
    bench.call("openat", Self.here, path, 0o102, 0o644)
    _ = try text(bench, 0x200, "abcdef")
    for (offset, value) in [(0, 0x200), (8, 2), (16, 0x204), (24, 2)] as [(UInt64, UInt64)] {
      try bench.put(offset, value >= 0x200 ? bench.scratch + value : value)
    }
    #expect(bench.call("writev", 3, bench.scratch, 2) == 4)
    #expect(bench.call("preadv", 3, bench.scratch, 2, 0) == 4)
    #expect(bench.call("writev", 3, bench.scratch, 1025) == failed(.EINVAL))
    try bench.put(8, Int64(-1))
    #expect(bench.call("writev", 3, bench.scratch, 2) == failed(.EINVAL))
    #expect(bench.call("write", 3, 0x10, 4) == failed(.EFAULT))
  }

  @Test func pipesBlockAndWake() throws {
    let bench = try TasksBench()
    #expect(bench.call("pipe2", bench.scratch, 0) == 0)
    let child = try bench.fork()
    #expect(bench.call("read", 3, bench.scratch + 64, 10) == nil)
    bench.run(child)
    #expect(bench.call("write", 4, bench.scratch, 3) == 3)
    bench.run(bench.task)
    #expect(bench.call("read", 3, bench.scratch + 64, 10) == 3)
    #expect(bench.call("close", 4) == 0)
    #expect(bench.call("read", 3, bench.scratch + 64, 10) == nil)
    bench.run(child)
    bench.exit(0)
    bench.run(bench.task)
    #expect(bench.call("read", 3, bench.scratch + 64, 10) == 0)
  }

  @Test func brokenPipe() throws {
    let bench = try TasksBench()
    bench.call("pipe2", bench.scratch, 0)
    bench.call("close", 3)
    #expect(bench.call("write", 4, bench.scratch, 3) == failed(.EPIPE))
    #expect(bench.task.pending.set.contains(Signal.SIGPIPE))
  }

  @Test func bigWriteGoesOn() throws {
    let bench = try TasksBench()
    bench.call("pipe2", bench.scratch, 0)
    let child = try bench.fork()
    _ = try bench.task.space?.mmap(
      0x20_0000, 0x40000, prot: rw, flags: anonymous | MM.MAP_FIXED)
    #expect(bench.call("write", 4, 0x20_0000, 0x20000) == nil)
    bench.run(child)
    var got: Int64 = 0
    for _ in 0..<8 { got += bench.call("read", 3, bench.scratch, 0x8000) ?? 0 }
    bench.run(bench.task)
    var result = bench.call("write", 4, 0x20_0000, 0x20000)
    if result == nil {
      bench.run(child)
      for _ in 0..<8 { got += bench.call("read", 3, bench.scratch, 0x8000) ?? 0 }
      bench.run(bench.task)
      result = bench.call("write", 4, 0x20_0000, 0x20000)
    }
    #expect(result == 0x20000)
  }

  @Test func pollWaits() throws {
    let bench = try TasksBench()
    bench.call("pipe2", bench.scratch, 0)
    try bench.put(0x100, Int32(3))
    try bench.put(0x104, UInt16(1))
    try bench.put(0x108, Int32(77))
    try bench.put(0x10c, UInt16(1))
    #expect(bench.call("ppoll", bench.scratch + 0x100, 2, 0, 0, 8) == 1)
    #expect(try bench.get(0x10e, UInt16.self) == 0x20)
    let child = try bench.fork()
    #expect(bench.call("ppoll", bench.scratch + 0x100, 1, 0, 0, 8) == nil)
    bench.run(child)
    bench.call("write", 4, bench.scratch, 1)
    bench.run(bench.task)
    #expect(bench.call("ppoll", bench.scratch + 0x100, 1, 0, 0, 8) == 1)
    #expect(try bench.get(0x106, UInt16.self) == 1)
    // A timeout, by pselect.
    bench.call("read", 3, bench.scratch + 0x200, 1)
    try bench.put(0x300, UInt64(8))
    try bench.put(0x400, UInt64(0))
    try bench.put(0x408, UInt64(5000))
    #expect(
      bench.call("pselect6", 4, bench.scratch + 0x300, 0, 0, bench.scratch + 0x400, 0) == nil)
    bench.run(child)
    bench.advance(5000)
    bench.run(bench.task)
    #expect(
      bench.call("pselect6", 4, bench.scratch + 0x300, 0, 0, bench.scratch + 0x400, 0) == 0)
    #expect(try bench.get(0x300, UInt64.self) == 0)
  }

  @Test func epollAndEvents() throws {
    let bench = try TasksBench()
    let set = try #require(bench.call("epoll_create1", 0))
    let event = try #require(bench.call("eventfd2", 0, 0o4000))
    try bench.put(0, UInt32(1))
    try bench.put(8, UInt64(42))
    #expect(bench.call("epoll_ctl", UInt64(set), 1, UInt64(event), bench.scratch) == 0)
    #expect(
      bench.call("epoll_ctl", UInt64(set), 1, UInt64(event), bench.scratch) == failed(.EEXIST))
    #expect(bench.call("epoll_pwait", UInt64(set), bench.scratch + 64, 4, 0, 0, 8) == 0)
    try bench.put(16, UInt64(1))
    #expect(bench.call("write", UInt64(event), bench.scratch + 16, 8) == 8)
    #expect(bench.call("epoll_pwait", UInt64(set), bench.scratch + 64, 4, 0, 0, 8) == 1)
    #expect(try bench.get(72, UInt64.self) == 42)
    let timer = try #require(bench.call("timerfd_create", 1, 0o4000))
    for offset in [0, 8, 16] as [UInt64] { try bench.put(0x100 + offset, UInt64(0)) }
    try bench.put(0x118, UInt64(100))
    #expect(bench.call("timerfd_settime", UInt64(timer), 0, bench.scratch + 0x100, 0) == 0)
    #expect(bench.call("read", UInt64(timer), bench.scratch, 8) == failed(.EAGAIN))
    bench.advance(100)
    #expect(bench.call("read", UInt64(timer), bench.scratch, 8) == 8)
    #expect(try bench.get(0, UInt64.self) == 1)
  }

  @Test func locksWait() throws {
    let bench = try TasksBench()
    let path = try text(bench, 0x100, "/tmp/lock")
    bench.call("openat", Self.here, path, 0o102, 0o644)
    #expect(bench.call("flock", 3, 2) == 0)
    let child = try bench.fork()
    bench.run(child)
    #expect(bench.call("openat", Self.here, path, 0o2, 0) == 4)
    #expect(bench.call("flock", 4, 2 | 4) == failed(.EAGAIN))
    #expect(bench.call("flock", 4, 2) == nil)
    bench.run(bench.task)
    #expect(bench.call("flock", 3, 8) == 0)
    bench.run(child)
    #expect(bench.call("flock", 4, 2) == 0)
  }

  @Test func descriptors() throws {
    let bench = try TasksBench()
    #expect(bench.call("dup", 0) == 3)
    #expect(bench.call("dup3", 0, 9, 0o2000000) == 9)
    #expect(bench.call("fcntl", 9, 1) == 1)
    #expect(bench.call("fcntl", 0, 1030, 20) == 20)
    #expect(bench.call("close_range", 3, 100, 0) == 0)
    #expect(bench.call("dup", 9) == failed(.EBADF))
    #expect(bench.call("ioctl", 0, 0x540f, bench.scratch) == failed(.ENOTTY))
    let memory = try #require(bench.call("memfd_create", try text(bench, 0x100, "m"), 0))
    #expect(bench.call("ftruncate", UInt64(memory), 8192) == 0)
    let at = try #require(bench.call("mmap", 0, 8192, 3, 1, UInt64(memory), 0))
    #expect(at > 0)
    #expect(bench.call("munmap", UInt64(at), 8192) == 0)
  }
}
