extension SyscallTable {
  /// Memory.
  static let memoryRows: [SyscallRow] = [
    SyscallRow("brk") { Int64(bitPattern: $0.space.brk($0[0])) },
    SyscallRow("mmap", MemoryCalls.mmap),
    SyscallRow("munmap") {
      try $0.space.munmap($0[0], $0[1])
      return 0
    },
    SyscallRow("mprotect") {
      try $0.space.mprotect($0[0], $0[1], $0.int(2))
      return 0
    },
    SyscallRow("mremap") {
      Int64(
        bitPattern: try $0.space.mremap($0[0], $0[1], $0[2], flags: $0.int(3), newAddr: $0[4]))
    },
    SyscallRow("madvise") {
      try $0.space.madvise($0[0], $0[1], $0.int(2))
      return 0
    },
    SyscallRow("msync") {
      try $0.space.msync($0[0], $0[1], flags: $0.int(2))
      return 0
    },
    SyscallRow("mincore") { call in
      guard call[0] & 4095 == 0 else { throw Errno.EINVAL }
      guard call[1] <= call.kernel.isa.userEnd else { throw Errno.ENOMEM }
      // A result byte for each page: in parts, so that a huge range costs no more than it has.
      var at = call[0]
      var left = (call[1] &+ 4095) / 4096
      var out = call[2]
      while left > 0 {
        let pages = min(left, 65_536)
        let part = try call.space.mincore(at, pages &* 4096)
        try call.write(out, part)
        at &+= pages &* 4096
        out &+= pages
        left -= pages
      }
      return 0
    },
    SyscallRow("mlock") {
      try $0.space.mlock($0[0], $0[1], onFault: false)
      return 0
    },
    SyscallRow("mlock2") {
      guard $0.int(2) & ~1 == 0 else { throw Errno.EINVAL }
      try $0.space.mlock($0[0], $0[1], onFault: $0.int(2) & 1 != 0)
      return 0
    },
    SyscallRow("munlock") {
      try $0.space.munlock($0[0], $0[1])
      return 0
    },
    SyscallRow("mlockall") {
      try $0.space.mlockall($0.int(0))
      return 0
    },
    SyscallRow("munlockall") {
      $0.space.munlockall()
      return 0
    },
    SyscallRow("membarrier", MemoryCalls.membarrier),
    SyscallRow("riscv_flush_icache") {
      guard $0[2] & ~1 == 0 else { throw Errno.EINVAL }
      $0.task.replyActions.insert(.fenceInstructions)
      return 0
    },
  ]
}

/// Handlers of calls about memory.
enum MemoryCalls {
  @Sendable static func mmap(_ call: SyscallCall) throws -> Int64 {
    guard call[5] & 4095 == 0 else { throw Errno.EINVAL }
    let flags = call.int(3)
    var file: OpenFile?
    if flags & MM.MAP_ANONYMOUS == 0 {
      file = try call.file(4)
    }
    let address = try call.space.mmap(
      call[0], call[1], prot: call.int(2), flags: flags, file: file, offset: call[5])
    return Int64(bitPattern: address)
  }

  /// - SeeAlso: membarrier(2). With one hart every command is done as soon as it is asked for.
  @Sendable static func membarrier(_ call: SyscallCall) throws -> Int64 {
    // Global, global expedited, private expedited, its SYNC_CORE variant, registrations.
    let known: UInt32 = 0x7f
    let command = call.uint(0)
    guard call.uint(1) == 0 else { throw Errno.EINVAL }
    switch command {
    case 0: return Int64(known)
    case 1, 2: return 0
    case 4, 16, 64:
      call.process.membarrier |= command
      return 0
    case 8, 32:
      guard call.process.membarrier & (command << 1) != 0 else { throw Errno.EPERM }
      if command == 32 { call.task.replyActions.insert(.fenceInstructions) }
      return 0
    default: throw Errno.EINVAL
    }
  }
}
