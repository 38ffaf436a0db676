/// `/proc` without the tasks: the root, and what tells of the machine.
///
/// Nodes are made when they are looked up. Inode numbers are fixed: a task's id in the upper bits,
/// the place of the name in the lower 24.
final class ProcTree {
  let fileSystem: FileSystem
  weak var vfs: VFS?

  private init(_ fileSystem: FileSystem, _ vfs: VFS) {
    self.fileSystem = fileSystem
    self.vfs = vfs
  }

  var source: (any ProcSource)? { vfs?.proc }

  static func makeRoot(_ fileSystem: FileSystem, _ vfs: VFS) -> Inode {
    let tree = ProcTree(fileSystem, vfs)
    return tree.directory(0, tree.rootFiles, number: 1) {
      (tree.source?.processes ?? []).filter { $0 > 0 }.map {
        ProcDirectory.Entry(
          name: Path(String($0)), kind: .directory, number: Self.number($0, 0),
          place: UInt64(1) << 24 &+ UInt64($0))
      }
    } more: { name, mustExist throws(Errno) in
      guard let tid = Self.id(name), !mustExist || tree.source?.status(of: tid) != nil else {
        return nil
      }
      return tree.task(tid)
    }
  }

  /// A name of a fixed table.
  struct Row {
    var name: Path
    var kind: FileKind
    var make: (_ number: UInt64) -> ProcNode
  }

  /// A directory of a table's names and perhaps others.
  ///
  /// `first` sets its numbers off from other tables'.
  func directory(
    _ first: UInt64, _ rows: [Row], number: UInt64,
    others: @escaping () -> [ProcDirectory.Entry] = { [] },
    more: @escaping ProcDirectory.Make = { _, _ in nil }
  ) -> ProcNode {
    func entryNumber(_ index: Int) -> UInt64 { first &+ UInt64(index) &+ 2 }
    let fixed = rows.enumerated().map {
      ProcDirectory.Entry(
        name: $1.name, kind: $1.kind, number: entryNumber($0), place: UInt64($0))
    }
    let all = { fixed + others() }
    return ProcDirectory(fileSystem, number: number, entries: all) {
      name, mustExist throws(Errno) in
      if let index = rows.firstIndex(where: { $0.name == name }) {
        return rows[index].make(entryNumber(index))
      }
      return try more(name, mustExist)
    }
  }

  /// The inode number of a task's file.
  static func number(_ tid: Int32, _ index: UInt64) -> UInt64 {
    UInt64(UInt32(bitPattern: tid)) << 24 &+ index &+ 1
  }

  /// A task's or descriptor's number as a name has it: decimal, without leading zeros.
  static func id(_ name: Path) -> Int32? {
    guard let text = name.text, let id = Int32(text), String(id) == text, id >= 0 else {
      return nil
    }
    return id
  }

  func text(_ name: Path, _ make: @escaping () throws(Errno) -> String) -> Row {
    Row(name: name, kind: .regular) { [fileSystem] number in
      ProcText(fileSystem, number: number) { _ throws(Errno) in Array(try make().utf8) }
    }
  }

  func link(_ name: Path, _ make: @escaping () throws(Errno) -> Path) -> Row {
    Row(name: name, kind: .symlink) { [fileSystem] number in
      ProcLink(fileSystem, number: number, text: make)
    }
  }

  private func folder(_ name: Path, _ first: UInt64, _ rows: [Row]) -> Row {
    Row(name: name, kind: .directory) { self.directory(first, rows, number: $0) }
  }

  private var system: ProcSystem {
    source?.system ?? ProcSystem(release: "", version: "", hostname: "(none)", cpuinfo: "")
  }

  // MARK: The machine

  private var rootFiles: [Row] {
    [
      link("self") { () throws(Errno) in
        guard let source = self.source else { throw .ENOENT }
        return Path(String(source.currentProcess))
      },
      link("thread-self") { () throws(Errno) in
        guard let source = self.source else { throw .ENOENT }
        return Path("\(source.currentProcess)/task/\(source.currentThread)")
      },
      link("mounts") { "self/mounts" },
      text("meminfo") { self.meminfo() },
      text("uptime") {
        "\(Self.hundredths(self.system.uptime)) \(Self.hundredths(self.system.idleTime))\n"
      },
      text("version") {
        "Linux version \(self.system.release) (emu@emu) \(self.system.version)\n"
      },
      text("cpuinfo") { self.system.cpuinfo },
      text("stat") { self.stat() },
      text("loadavg") {
        let tasks = self.source?.processes.count ?? 0
        return
          "0.00 0.00 0.00 \(self.system.running)/\(tasks) \(self.source?.processes.last ?? 0)\n"
      },
      text("filesystems") {
        ["tmpfs", "proc", "sysfs", "devtmpfs", "pipefs", "sockfs"].map { "nodev\t\($0)\n" }
          .joined()
      },
      text("devices") {
        "Character devices:\n  1 mem\n  5 /dev/tty\n  5 /dev/console\n\nBlock devices:\n"
      },
      text("cmdline") { "\n" },
      folder("sys", 0x1000, sysctls),
    ]
  }

  private var sysctls: [Row] {
    [
      folder(
        "kernel", 0x2000,
        [
          text("ostype") { "Linux\n" },
          text("osrelease") { "\(self.system.release)\n" },
          text("version") { "\(self.system.version)\n" },
          text("hostname") { "\(self.system.hostname)\n" },
          text("domainname") { "\(self.system.domainname)\n" },
          text("pid_max") { "32768\n" },
          text("threads-max") { "\(max(self.fileSystem.frames.total / 8, 20))\n" },
          text("ngroups_max") { "65536\n" },
          text("cap_last_cap") { "40\n" },
          text("overflowuid") { "65534\n" },
          text("overflowgid") { "65534\n" },
          text("randomize_va_space") { "0\n" },
          text("core_pattern") { "core\n" },
          folder(
            "random", 0x5000,
            [
              text("boot_id") { "00000000-0000-4000-8000-000000000001\n" },
              text("uuid") { self.uuid() },
              text("entropy_avail") { "256\n" },
              text("poolsize") { "256\n" },
            ]),
        ]),
      folder(
        "vm", 0x3000,
        [
          text("overcommit_memory") { "0\n" }, text("max_map_count") { "65530\n" },
          text("mmap_min_addr") { "65536\n" },
        ]),
      folder(
        "fs", 0x4000,
        [
          text("file-max") { "9223372036854775807\n" }, text("nr_open") { "1048576\n" },
          text("pipe-max-size") { "1048576\n" },
        ]),
    ]
  }

  private func meminfo() -> String {
    let frames = fileSystem.frames
    let mounted = vfs?.mounts.reduce(0) { $0 + $1.root.inode.fileSystem.cachedPages } ?? 0
    let cached = mounted + (vfs?.hidden.cachedPages ?? 0)
    let rows: [(String, Int)] = [
      ("MemTotal", frames.total), ("MemFree", frames.available),
      ("MemAvailable", frames.available), ("Buffers", 0), ("Cached", cached), ("SwapCached", 0),
      ("Active", max(frames.used - cached, 0)), ("Inactive", cached), ("SwapTotal", 0),
      ("SwapFree", 0), ("Dirty", 0), ("Writeback", 0), ("Shmem", cached),
    ]
    return rows.map { name, pages in
      "\(name):".padded(to: 16) + String(pages * 4).padded(to: 8, left: true) + " kB\n"
    }.joined()
  }

  private func stat() -> String {
    let system = self.system
    let times = [
      Self.ticks(system.userTime), 0, Self.ticks(system.systemTime), Self.ticks(system.idleTime),
    ]
    let all = times.map(String.init).joined(separator: " ") + " 0 0 0 0 0 0"
    var text = "cpu  \(all)\n"
    for hart in 0..<max(min(system.harts, 1024), 1) {
      // One hart does all the work so far: the others' times are not told apart.
      text += hart == 0 ? "cpu0 \(all)\n" : "cpu\(hart) 0 0 0 0 0 0 0 0 0 0\n"
    }
    return text
      + "intr \(system.interrupts)\nctxt \(system.contextSwitches)\n"
      + "btime \((vfs?.host?.startOfRun ?? 0) / 1_000_000_000)\nprocesses \(system.forks)\n"
      + "procs_running \(system.running)\nprocs_blocked 0\n"
  }

  private func uuid() -> String {
    var bytes = Array((vfs?.host?.randomBytes(16) ?? []).prefix(16))
    bytes += [UInt8](repeating: 0, count: 16 - bytes.count)
    bytes[6] = bytes[6] & 0x0f | 0x40
    bytes[8] = bytes[8] & 0x3f | 0x80
    let digits = Array("0123456789abcdef")
    var text = ""
    for (index, byte) in bytes.enumerated() {
      if [4, 6, 8, 10].contains(index) { text.append("-") }
      text.append(digits[Int(byte >> 4)])
      text.append(digits[Int(byte & 15)])
    }
    return text + "\n"
  }

  /// Nanoseconds as `USER_HZ` ticks, a hundredth of a second.
  static func ticks(_ time: UInt64) -> UInt64 { time / 10_000_000 }

  /// Nanoseconds as seconds with two digits behind the point.
  static func hundredths(_ time: UInt64) -> String {
    let ticks = ticks(time)
    return "\(ticks / 100)." + String(100 + ticks % 100).dropFirst()
  }
}

extension String {
  /// The text filled up with blanks.
  func padded(to width: Int, left: Bool = false) -> String {
    let blanks = String(repeating: " ", count: Swift.max(width - count, 0))
    return left ? blanks + self : self + blanks
  }
}
