extension SyscallTable {
  private static let noSockets: [SyscallRow] =
    [
      SyscallRow("socket", partial: "no address family", fails: .EAFNOSUPPORT),
      SyscallRow("socketpair", partial: "AF_UNIX streams only", SocketCalls.pair),
      SyscallRow("shutdown") { call in
        try SocketCalls.socket(call).shutdown(call.int(1))
        return 0
      },
      SyscallRow("sendto", partial: "streams only, no out-of-band data") { call in
        _ = try SocketCalls.socket(call)
        return try TransferCalls.write(call, [(call[1], try call.count(2))], position: nil)
      },
      SyscallRow("recvfrom", partial: "streams only, flags are ignored") { call in
        _ = try SocketCalls.socket(call)
        return try TransferCalls.read(call, [(call[1], try call.count(2))], position: nil)
      },
    ]
    + [
      "bind", "listen", "accept", "connect", "getsockname", "getpeername", "setsockopt",
      "getsockopt", "sendmsg", "recvmsg", "accept4", "recvmmsg", "sendmmsg",
    ].map { name in
      SyscallRow(name, .partial("socket pairs do not have it")) { call in
        _ = try SocketCalls.socket(call)
        throw Errno.EOPNOTSUPP
      }
    }

  private static let refused: [SyscallRow] = [
    "reboot", "mount", "umount2", "pivot_root", "chroot", "vhangup",
  ].map { SyscallRow($0, partial: "always refused", fails: .EPERM) }

  /// The system as a whole.
  static let systemRows: [SyscallRow] =
    noSockets + refused + [
      SyscallRow("uname") { call in
        let kernel = call.kernel
        try call.write(
          call[0],
          ABI.utsname([
            "Linux", kernel.hostname, Kernel.release, Kernel.version, kernel.isa.machineName,
            kernel.domainname,
          ]))
        return 0
      },
      SyscallRow("sethostname") { call in
        call.kernel.hostname = try SystemCalls.hostname(call)
        return 0
      },
      SyscallRow("setdomainname") { call in
        call.kernel.domainname = try SystemCalls.hostname(call)
        return 0
      },
      SyscallRow("sysinfo") { call in
        let kernel = call.kernel
        try call.write(
          call[0],
          ABI.sysinfo(
            uptime: kernel.now / ABI.second, total: UInt64(kernel.frames.total) &* 4096,
            free: UInt64(max(0, kernel.frames.available)) &* 4096,
            processes: kernel.tasks.count))
        return 0
      },
      SyscallRow("getrandom") { call in
        guard call.uint(2) & ~7 == 0, call.uint(2) & 6 != 6 else { throw Errno.EINVAL }
        return try SystemCalls.random(call)
      },
      SyscallRow("syslog", partial: "the log is empty") { call in
        switch call.int(0) {
        case 0, 1, 5, 6, 7, 8: return 0
        case 2, 3, 4:
          guard call[1] != 0, call.int(2) >= 0 else { throw Errno.EINVAL }
          return 0
        case 9: return 0
        case 10: return 16_384
        default: throw Errno.EINVAL
        }
      },
      SyscallRow("personality", partial: "PER_LINUX without flags") { call in
        guard call.uint(0) == .max || call.uint(0) == 0 else { throw Errno.EINVAL }
        return 0
      },
      SyscallRow("riscv_hwprobe", partial: "every key is unknown but the first two") { call in
        let count = Int(min(call[1], 4096))
        guard call.uint(4) & ~1 == 0 else { throw Errno.EINVAL }
        for index in 0..<count {
          let at = call[0] &+ UInt64(index) &* 16
          let key = try call.load(at, as: Int64.self)
          switch key {
          case 0...2: try call.store(at &+ 8, UInt64(0))
          case 3: try call.store(at &+ 8, UInt64(1))
          case 4: try call.store(at &+ 8, UInt64(3))
          default:
            try call.store(at, Int64(-1))
            try call.store(at &+ 8, UInt64(0))
          }
        }
        return 0
      },
    ]
}

/// Handlers of calls about sockets: there are pairs of connected streams only.
enum SocketCalls {
  static func socket(_ call: SyscallCall) throws -> OpenFile {
    let file = try call.file(0)
    guard file.isSocket else { throw Errno.ENOTSOCK }
    return file
  }

  @Sendable static func pair(_ call: SyscallCall) throws -> Int64 {
    guard call.int(0) == 1 else { throw Errno.EAFNOSUPPORT }
    let flags = OpenFlags(rawValue: call.int(1) & ~15)
    guard flags.subtracting([.closeOnExec, .nonBlock]).isEmpty else { throw Errno.EINVAL }
    guard call.int(1) & 15 == 1, call.int(2) == 0 else { throw Errno.EOPNOTSUPP }
    try call.checkUser(call[3], 8)
    let ends = try call.vfs.makeSocketPair(flags.intersection(.nonBlock))
    return try DescriptorCalls.hand(
      call, ends, to: call[3], closeOnExec: flags.contains(.closeOnExec))
  }
}

/// Handlers of calls about the system.
enum SystemCalls {
  static func hostname(_ call: SyscallCall) throws -> String {
    let count = call.int(1)
    guard count >= 0, count <= 64 else { throw Errno.EINVAL }
    return String(decoding: try call.read(call[0], Int(count)), as: UTF8.self)
  }

  static func random(_ call: SyscallCall) throws -> Int64 {
    var left = Int(min(call[1], UInt64(Int32.max)))
    var at = call[0]
    var done = 0
    while left > 0 {
      let bytes = call.kernel.host.randomBytes(min(left, SyscallCall.chunk))
      guard !bytes.isEmpty else { break }
      let copied =
        (try? call.checkUser(at, UInt64(bytes.count))) == nil
        ? 0 : call.space.writePartial(at, bytes)
      done += copied
      if copied < bytes.count { break }
      left -= copied
      at &+= UInt64(copied)
    }
    if done == 0, left > 0 { throw Errno.EFAULT }
    return Int64(done)
  }
}
