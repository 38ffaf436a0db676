import Testing

@testable import GuestKernel

@Suite struct VFSProcTests {
  final class Source: ProcSource {
    var table = FileTable()
    var place: FileSystemContext?
    var image: Dentry?
    var space: FakeMemory?
    var processes: [Int32] = [1, 42]
    var currentProcess: Int32 { 42 }
    var currentThread: Int32 { 43 }
    func threads(of pid: Int32) -> [Int32] {
      pid == 42 ? [42, 43] : processes.contains(pid) ? [pid] : []
    }
    func status(of tid: Int32) -> ProcStatus? {
      guard processes.contains(tid) || tid == 43 else { return nil }
      return ProcStatus(tid: tid, process: tid, parent: 1, name: "a b)")
    }
    func maps(of tid: Int32) -> [UInt8] { Array("1000-2000 r-xp\n".utf8) }
    func commandLine(of tid: Int32) -> [UInt8] { Array("prog\0arg\0".utf8) }
    func environment(of tid: Int32) -> [UInt8] { [] }
    func auxiliaryVector(of tid: Int32) -> [UInt8] { [] }
    func executable(of tid: Int32) -> Dentry? { image }
    func files(of tid: Int32) -> FileTable? { table }
    func context(of tid: Int32) -> FileSystemContext? { place }
    func memory(of tid: Int32) -> (any UserMemory)? { space }
    var system: ProcSystem {
      var system = ProcSystem(release: "6.12.0", version: "#1", hostname: "guest", cpuinfo: "cpu\n")
      system.uptime = 12_340_000_000
      return system
    }
  }

  private func world() throws -> (World, Source) {
    let world = try World()
    let source = Source()
    world.vfs.proc = source
    source.place = world.context
    try world.vfs.installProgram("/prog", HostBytes(Array("ELF".utf8)))
    source.image = try world.vfs.resolve("/prog", world.context)
    source.space = world.memory
    return (world, source)
  }

  @Test(
    arguments: [
      ("/proc/self/cmdline", "prog\0arg\0"), ("/proc/42/comm", "a b)\n"),
      ("/proc/self/maps", "1000-2000 r-xp\n"), ("/proc/uptime", "12.34 0.00\n"),
      ("/proc/sys/kernel/ostype", "Linux\n"), ("/proc/sys/kernel/osrelease", "6.12.0\n"),
      ("/proc/sys/kernel/hostname", "guest\n"), ("/proc/cpuinfo", "cpu\n"),
      ("/proc/thread-self/comm", "a b)\n"), ("/proc/self/task/43/comm", "a b)\n"),
    ] as [(Path, String)])
  func texts(_ path: Path, _ expected: String) throws {
    let (world, source) = try world()
    #expect(try world.text(path) == expected)
    withExtendedLifetime(source) {}
  }

  @Test(arguments: [
    "self", "thread-self", "self/status", "self/statm", "stat", "meminfo",
    "version", "mounts", "filesystems", "self/mountinfo", "loadavg", "self/environ",
  ])
  func `everything can be read`(_ name: String) throws {
    let (world, source) = try world()
    let file = try world.open(Path("/proc/" + name), name.hasSuffix("self") ? .directory : [])
    if !file.inode.isDirectory { #expect(errno { try file.read(100_000) } == nil) }
    withExtendedLifetime(source) {}
  }

  @Test func `stat has its 52 fields`() throws {
    let (world, source) = try world()
    let text = try world.text("/proc/self/stat")
    #expect(text.hasPrefix("42 (a b)) R 1 42 42 0 -1 4194304 "))
    #expect(text.drop { $0 != ")" }.split(separator: " ").count == 51)
    withExtendedLifetime(source) {}
  }

  @Test func `mounts are listed`() throws {
    let (world, source) = try world()
    let lines = try world.text("/proc/mounts").split(separator: "\n")
    #expect(lines.first == "tmpfs / tmpfs rw,relatime 0 0")
    #expect(lines.contains("proc /proc proc rw,relatime 0 0"))
    withExtendedLifetime(source) {}
  }

  @Test func `the directory has the processes`() throws {
    let (world, source) = try world()
    let names = try world.names("/proc")
    #expect(names.contains("self") && names.suffix(2) == ["1", "42"])
    source.processes = [1]
    #expect(errno { try world.open("/proc/42/stat") } == .ENOENT)
    for path in ["/proc/042", "/proc/+1", "/proc/-1", "/proc/99999999999", "/proc/7"] {
      #expect(errno { try world.open(Path(path)) } == .ENOENT)
    }
  }

  @Test func `a process that has gone answers ESRCH`() throws {
    let (world, source) = try world()
    let file = try world.open("/proc/42/stat")
    source.processes = []
    #expect(errno { try file.read(10) } == .ESRCH)
  }

  @Test func `the executable opens though it was removed`() throws {
    let (world, source) = try world()
    #expect(try world.vfs.readlink("/proc/self/exe", world.context) == "/prog")
    try world.vfs.unlink("/prog", world.context)
    #expect(try world.vfs.readlink("/proc/self/exe", world.context) == "/prog (deleted)")
    #expect(try world.text("/proc/self/exe") == "ELF")
    source.image = nil
    #expect(errno { try world.open("/proc/self/exe") } == .ENOENT)
  }

  @Test func `descriptors are links to what they have open`() throws {
    let (world, source) = try world()
    let file = try world.write("/f", "hello")
    try world.vfs.unlink("/f", world.context)
    let fd = try source.table.allocate(file)
    let ends = try source.table.allocate(world.vfs.makePipe(), closeOnExec: false)
    #expect(try world.text("/proc/self/fd/\(fd)".path) == "hello")
    #expect(try world.vfs.readlink("/proc/self/fd/\(fd)".path, world.context) == "/f (deleted)")
    #expect(
      try world.vfs.readlink("/dev/fd/\(ends.0)".path, world.context).text?.hasPrefix("pipe:[")
        == true)
    #expect(try world.names("/proc/self/fd") == ["0", "1", "2"])
    #expect(try world.attributes("/proc/self/fd/1", []).mode.rawValue == 0o120500)
    #expect(try world.text("/proc/self/fdinfo/0").hasPrefix("pos:\t5\nflags:\t0100002\n"))
    // Opening a pipe again through its link makes another end.
    let again = try world.open("/proc/self/fd/\(ends.1)".path, .writeOnly)
    try source.table.close(ends.1)
    #expect(errno { try source.table[ends.0].read(1) } == .EAGAIN)
    withExtendedLifetime(again) {}
  }

  @Test func `places are magic too`() throws {
    let (world, source) = try world()
    try world.mkdir("/d")
    try world.write("/d/f", "x")
    try world.vfs.changeDirectory("/d", world.context)
    #expect(try world.text("/proc/self/cwd/f") == "x")
    #expect(try world.text("/proc/self/root/d/f") == "x")
    #expect(errno { try world.open("/proc/self/exe/x") } == .ENOTDIR)
    withExtendedLifetime(source) {}
  }

  @Test func `memory is read by address`() throws {
    let (world, source) = try world()
    try world.memory.write(0x1010, [1, 2, 3])
    let file = try world.open("/proc/self/mem", .readWrite)
    #expect(try file.pread(3, at: 0x1010) == [1, 2, 3])
    #expect(errno { try file.pread(3, at: 0) } == .EIO)
    #expect(errno { try file.pread(3, at: .max) } == .EIO)
    withExtendedLifetime(source) {}
  }

  @Test func `nothing is made or changed there`() throws {
    let (world, source) = try world()
    #expect(errno { try world.vfs.unlink("/proc/version", world.context) } == .EPERM)
    #expect(errno { try world.vfs.removeDirectory("/proc/42", world.context) } == .EPERM)
    #expect(errno { try world.vfs.rename("/proc/version", to: "/proc/x", world.context) } == .EPERM)
    #expect(errno { try world.open("/proc/version", .writeOnly).write([1]) } == .EINVAL)
    withExtendedLifetime(source) {}
  }

  @Test func `without tasks it is there and empty`() throws {
    let world = try World()
    #expect(errno { try world.open("/proc/self") } == .ENOENT)
    #expect(try world.text("/proc/meminfo").hasPrefix("MemTotal:           1024 kB\n"))
  }
}

extension String {
  fileprivate var path: Path { Path(self) }
}
