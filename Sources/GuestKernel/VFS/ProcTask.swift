/// `/proc/pid` and `/proc/pid/task/tid`.
extension ProcTree {
  /// The directory of a task.
  ///
  /// It holds the id only: a task that has gone answers `ESRCH`.
  func task(_ tid: Int32, isThread: Bool = false) -> ProcNode {
    let base: UInt64 = isThread ? 0x8000 : 0
    var rows = files(tid)
    if !isThread {
      rows.append(
        Row(name: "task", kind: .directory) { number in
          self.directory(0, [], number: number) {
            (self.source?.threads(of: tid) ?? []).filter { $0 >= 0 }.map {
              ProcDirectory.Entry(
                name: Path(String($0)), kind: .directory, number: Self.number($0, 0x8000),
                place: UInt64($0))
            }
          } more: { name, mustExist throws(Errno) in
            guard let id = Self.id(name), let source = self.source,
              !mustExist || source.threads(of: tid).contains(id)
            else { return nil }
            return self.task(id, isThread: true)
          }
        })
    }
    return directory(Self.number(tid, base), rows, number: Self.number(tid, base))
  }

  private func status(_ tid: Int32) throws(Errno) -> ProcStatus {
    guard let status = source?.status(of: tid) else { throw .ESRCH }
    return status
  }

  /// A file whose bytes the tasks' side makes.
  private func bytes(
    _ name: Path, _ tid: Int32, permissions: UInt32 = 0o444,
    _ make: @escaping (any ProcSource) -> [UInt8]
  ) -> Row {
    Row(name: name, kind: .regular) { [fileSystem] number in
      ProcText(fileSystem, number: number, permissions: permissions) { _ throws(Errno) in
        guard let source = self.source, source.status(of: tid) != nil else { throw .ESRCH }
        return make(source)
      }
    }
  }

  /// A link to a place that need not have a name any more.
  private func place(_ name: Path, _ make: @escaping () -> Dentry?) -> Row {
    Row(name: name, kind: .symlink) { [fileSystem] number in
      ProcLink(fileSystem, number: number) { () throws(Errno) in
        guard let dentry = make() else { throw .ENOENT }
        return dentry
      } text: { () throws(Errno) in
        guard let dentry = make() else { throw .ENOENT }
        return dentry.path(below: nil)
      }
    }
  }

  private func files(_ tid: Int32) -> [Row] {
    [
      text("stat") { () throws(Errno) in Self.stat(try self.status(tid)) },
      text("status") { () throws(Errno) in Self.statusText(try self.status(tid)) },
      text("statm") { () throws(Errno) in
        let status = try self.status(tid)
        let code = (status.codeEnd &- min(status.codeStart, status.codeEnd)) / 4096
        return "\(status.virtualSize / 4096) \(status.residentPages) 0 \(code) 0 "
          + "\(status.residentPages) 0\n"
      },
      text("comm") { () throws(Errno) in try self.status(tid).name + "\n" },
      bytes("cmdline", tid) { $0.commandLine(of: tid) },
      bytes("environ", tid, permissions: 0o400) { $0.environment(of: tid) },
      bytes("auxv", tid, permissions: 0o400) { $0.auxiliaryVector(of: tid) },
      bytes("maps", tid) { $0.maps(of: tid) },
      Row(name: "mem", kind: .regular) { [fileSystem] number in
        ProcMemory(fileSystem, number: number) { self.source?.memory(of: tid) }
      },
      place("exe") { self.source?.executable(of: tid) },
      place("cwd") { self.source?.context(of: tid)?.cwd },
      place("root") { self.source?.context(of: tid)?.root },
      descriptors("fd", tid, kind: .symlink) { number, file, fd in self.link(number, tid, fd, file)
      },
      descriptors("fdinfo", tid, kind: .regular) { number, file, _ in
        ProcText(self.fileSystem, number: number, permissions: 0o400, about: file) {
          file throws(Errno) in
          guard let file else { throw .ENOENT }
          return Array(
            ("pos:\t\(file.offset)\nflags:\t0\(String(file.flags.rawValue, radix: 8))\n"
              + "mnt_id:\t\(file.inode.fileSystem.device.minor)\nino:\t\(file.inode.number)\n").utf8
          )
        }
      },
      text("mounts") { self.mounts() },
      text("mountinfo") { self.mountinfo() },
      text("oom_score_adj") { "0\n" },
      text("wchan") { "0" },
    ]
  }

  // MARK: Descriptors

  private func descriptors(
    _ name: Path, _ tid: Int32, kind: FileKind,
    _ make: @escaping (_ number: UInt64, _ file: OpenFile?, _ fd: Int32) -> ProcNode
  ) -> Row {
    let first: UInt64 = kind == .symlink ? 0x10_0000 : 0x20_0000
    func number(_ fd: Int32) -> UInt64 { Self.number(tid, first &+ UInt64(fd)) }
    return Row(name: name, kind: .directory) { own in
      self.directory(0, [], number: own) {
        (self.source?.files(of: tid)?.descriptors ?? []).map {
          ProcDirectory.Entry(
            name: Path(String($0)), kind: kind, number: number($0), place: UInt64($0))
        }
      } more: { name, mustExist throws(Errno) in
        guard let fd = Self.id(name) else { return nil }
        let file = try? self.source?.files(of: tid)?.raw(fd)
        return file == nil && mustExist ? nil : make(number(fd), file, fd)
      }
    }
  }

  private func link(_ number: UInt64, _ tid: Int32, _ fd: Int32, _ file: OpenFile?) -> ProcNode {
    let permissions: UInt32 =
      0o100 | (file?.flags.reads ?? false ? 0o400 : 0) | (file?.flags.writes ?? false ? 0o200 : 0)
    let find: () throws(Errno) -> Dentry = { [weak self] () throws(Errno) in
      guard let file = try? self?.source?.files(of: tid)?.raw(fd) else { throw .ENOENT }
      return file.dentry
    }
    return ProcLink(fileSystem, number: number, permissions: permissions, target: find) {
      () throws(Errno) in try find().path(below: nil)
    }
  }

  // MARK: Mounts

  private func eachMount(
    _ line: (_ index: Int, _ path: String, _ fileSystem: FileSystem, _ options: String) -> String
  ) -> String {
    (vfs?.mounts ?? []).enumerated().map { index, mount in
      let fileSystem = mount.root.inode.fileSystem
      let options = fileSystem.isReadOnly ? "ro,relatime" : "rw,relatime"
      return line(index, mount.point?.path(below: nil).description ?? "/", fileSystem, options)
    }.joined()
  }

  private func mounts() -> String {
    eachMount { _, path, fileSystem, options in
      "\(fileSystem.typeName) \(path) \(fileSystem.typeName) \(options) 0 0\n"
    }
  }

  private func mountinfo() -> String {
    eachMount { index, path, fileSystem, options in
      "\(index + 1) \(index == 0 ? 0 : 1) \(fileSystem.device.major):\(fileSystem.device.minor) "
        + "/ \(path) \(options) - \(fileSystem.typeName) \(fileSystem.typeName) "
        + "\(fileSystem.isReadOnly ? "ro" : "rw")\n"
    }
  }

  // MARK: Text of a task

  /// - SeeAlso: Linux, `fs/proc/array.c`, `do_task_stat`; proc_pid_stat(5).
  static func stat(_ task: ProcStatus) -> String {
    let fields: [String] = [
      "\(task.tid) (\(task.name)) \(task.state) \(task.parent) \(task.group) \(task.session) 0 -1",
      "4194304 \(task.minorFaults) 0 \(task.majorFaults) 0",
      "\(ticks(task.userTime)) \(ticks(task.systemTime))",
      "\(ticks(task.childrenUserTime)) \(ticks(task.childrenSystemTime))",
      "\(20 &+ Int(task.nice)) \(task.nice) \(task.threads) 0 \(ticks(task.startTime))",
      "\(task.virtualSize) \(task.residentPages) 18446744073709551615",
      "\(task.codeStart) \(task.codeEnd) \(task.stackStart) 0 0",
      "\(task.pendingSignals & 0x7fff_ffff) \(task.blockedSignals & 0x7fff_ffff)",
      "\(task.ignoredSignals & 0x7fff_ffff) \(task.caughtSignals & 0x7fff_ffff)",
      "0 0 0 17 0 0 0 0 0 0",
      "\(task.dataStart) \(task.dataEnd) \(task.heapStart) 0 0 0 0 \(task.exitCode)",
    ]
    return fields.joined(separator: " ") + "\n"
  }

  /// - SeeAlso: Linux, `fs/proc/array.c`, `proc_pid_status`; proc_pid_status(5).
  static func statusText(_ task: ProcStatus) -> String {
    let states: [Character: String] = [
      "R": "running", "S": "sleeping", "D": "disk sleep", "T": "stopped", "t": "tracing stop",
      "Z": "zombie", "X": "dead",
    ]
    func set(_ name: String, _ bits: UInt64) -> String {
      let digits = String(bits, radix: 16)
      return "\(name):\t" + String(repeating: "0", count: max(16 - digits.count, 0)) + digits
    }
    func size(_ name: String, _ bytes: UInt64) -> String {
      "\(name):\t" + String(bytes / 1024).padded(to: 8, left: true) + " kB"
    }
    let who = task.credentials
    var lines = [
      "Name:\t\(task.name)", "Umask:\t0022",
      "State:\t\(task.state) (\(states[task.state] ?? "unknown"))", "Tgid:\t\(task.process)",
      "Ngid:\t0", "Pid:\t\(task.tid)", "PPid:\t\(task.parent)", "TracerPid:\t0",
      "Uid:\t\(who.uid)\t\(who.uid)\t\(who.uid)\t\(who.uid)",
      "Gid:\t\(who.gid)\t\(who.gid)\t\(who.gid)\t\(who.gid)", "FDSize:\t64",
      "Groups:\t" + who.groups.map { "\($0) " }.joined(),
    ]
    if task.state != "Z" {
      let data = task.dataEnd &- min(task.dataStart, task.dataEnd)
      let code = task.codeEnd &- min(task.codeStart, task.codeEnd)
      lines += [
        size("VmPeak", task.virtualSize), size("VmSize", task.virtualSize), size("VmLck", 0),
        size("VmHWM", task.residentPages &* 4096), size("VmRSS", task.residentPages &* 4096),
        size("VmData", data), size("VmExe", code), size("VmSwap", 0),
      ]
    }
    let rootCapabilities: UInt64 = who.uid == 0 ? 0x1ff_ffff_ffff : 0
    lines += [
      "Threads:\t\(task.threads)", "SigQ:\t0/1024", set("SigPnd", task.pendingSignals),
      set("ShdPnd", task.sharedPendingSignals), set("SigBlk", task.blockedSignals),
      set("SigIgn", task.ignoredSignals), set("SigCgt", task.caughtSignals), set("CapInh", 0),
      set("CapPrm", rootCapabilities), set("CapEff", rootCapabilities),
      set("CapBnd", 0x1ff_ffff_ffff), set("CapAmb", 0), "NoNewPrivs:\t0", "Seccomp:\t0",
      "Cpus_allowed:\t1", "Cpus_allowed_list:\t0",
      "voluntary_ctxt_switches:\t\(task.voluntarySwitches)",
      "nonvoluntary_ctxt_switches:\t\(task.involuntarySwitches)",
    ]
    return lines.joined(separator: "\n") + "\n"
  }
}
