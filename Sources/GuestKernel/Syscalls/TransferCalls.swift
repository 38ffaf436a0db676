extension SyscallTable {
  private static let note = "RLIMIT_FSIZE is not looked at"

  /// Calls that move bytes.
  static let transferRows: [SyscallRow] = [
    SyscallRow("read") { call in
      try TransferCalls.read(call, [(call[1], try call.count(2))], position: nil)
    },
    SyscallRow("write", partial: note) { call in
      try TransferCalls.write(call, [(call[1], try call.count(2))], position: nil)
    },
    SyscallRow("pread64") { call in
      try TransferCalls.read(call, [(call[1], try call.count(2))], position: call.long(3))
    },
    SyscallRow("pwrite64", partial: note) { call in
      try TransferCalls.write(call, [(call[1], try call.count(2))], position: call.long(3))
    },
    SyscallRow("readv") { try TransferCalls.read($0, TransferCalls.vectors($0), position: nil) },
    SyscallRow("writev", partial: note) {
      try TransferCalls.write($0, TransferCalls.vectors($0), position: nil)
    },
    SyscallRow("preadv") {
      try TransferCalls.read($0, TransferCalls.vectors($0), position: $0.long(3))
    },
    SyscallRow("pwritev", partial: note) {
      try TransferCalls.write($0, TransferCalls.vectors($0), position: $0.long(3))
    },
    SyscallRow("preadv2", partial: "RWF_NOWAIT and the like are refused") { call in
      guard call.int(5) & ~7 == 0 else { throw Errno.EOPNOTSUPP }
      let position = call.long(3) == -1 ? nil : call.long(3)
      return try TransferCalls.read(call, TransferCalls.vectors(call), position: position)
    },
    SyscallRow("pwritev2", partial: "RWF_NOWAIT and RWF_APPEND are refused") { call in
      guard call.int(5) & ~7 == 0 else { throw Errno.EOPNOTSUPP }
      let position = call.long(3) == -1 ? nil : call.long(3)
      return try TransferCalls.write(call, TransferCalls.vectors(call), position: position)
    },
    SyscallRow("sendfile") { try TransferCalls.sendfile($0) },
    SyscallRow("copy_file_range") { try TransferCalls.copyRange($0) },
  ]
}

/// Handlers of calls that move bytes.
enum TransferCalls {
  typealias Vector = (va: UInt64, count: Int)

  /// The `struct iovec` array of arguments 1 and 2.
  ///
  /// - SeeAlso: Linux, `lib/iov_iter.c`, `__import_iovec`
  static func vectors(_ call: SyscallCall) throws -> [Vector] {
    let count = call[2]
    guard count <= 1024 else { throw Errno.EINVAL }
    let bytes = try call.read(call[1], Int(count) * 16)
    var left = Int(SyscallCall.maxCount)
    var result: [Vector] = []
    for index in 0..<Int(count) {
      let va = bytes.get(index * 16, UInt64.self)
      let length = bytes.get(index * 16 + 8, Int64.self)
      guard length >= 0 else { throw Errno.EINVAL }
      let taken = min(Int(length), left)
      left -= taken
      if taken > 0 { result.append((va, taken)) }
    }
    return result
  }

  private static func blocks(_ file: OpenFile, _ position: Int64?) -> Bool {
    position == nil && !file.flags.contains(.nonBlock)
  }

  static func read(_ call: SyscallCall, _ vectors: [Vector], position: Int64?) throws -> Int64 {
    let file = try call.file(0)
    if let position, position < 0 { throw Errno.EINVAL }
    guard file.isReadable else { throw Errno.EBADF }
    var done = 0
    for vector in vectors.isEmpty ? [(va: 0, count: 0)] : vectors {
      if vector.count > 0 { try checkFirst(call, vector, done) }
      do throws(Errno) {
        let got = try file.read(
          UInt64(vector.count), to: call.space, vector.va,
          position: position.map { $0 &+ Int64(done) })
        done += got
        if got < vector.count { break }
      } catch {
        if done > 0 { break }
        guard error == .EAGAIN, blocks(file, position), let queue = file.readQueue else {
          throw error
        }
        try call.wait(on: [queue], until: nil)
      }
    }
    return Int64(done)
  }

  private static func checkFirst(_ call: SyscallCall, _ vector: Vector, _ done: Int) throws {
    do {
      try call.checkUser(vector.va, UInt64(vector.count))
    } catch {
      if done == 0 { throw error }
    }
  }

  static func write(_ call: SyscallCall, _ vectors: [Vector], position: Int64?) throws -> Int64 {
    let file = try call.file(0)
    if let position, position < 0 { throw Errno.EINVAL }
    guard file.isWritable else { throw Errno.EBADF }
    // What was written before the call blocked is skipped.
    var done = call.progress.bytes
    var skip = done
    for vector in vectors.isEmpty ? [(va: 0, count: 0)] : vectors {
      var offset = min(skip, vector.count)
      skip -= offset
      if vector.count > 0, done == 0 { try call.checkUser(vector.va, UInt64(vector.count)) }
      repeat {
        if offset == vector.count, vector.count > 0 { break }
        do throws(Errno) {
          let put = try file.write(
            UInt64(vector.count - offset), from: call.space, vector.va &+ UInt64(offset),
            position: position.map { $0 &+ Int64(done) })
          done += put
          offset += put
          if put == 0 { return Int64(done) }
        } catch {
          if let result = try stop(call, file, error, done, position) { return result }
        }
      } while offset < vector.count
    }
    return Int64(done)
  }

  /// A write failed or has to wait.
  private static func stop(
    _ call: SyscallCall, _ file: OpenFile, _ error: Errno, _ done: Int, _ position: Int64?
  ) throws -> Int64? {
    if error == .EPIPE {
      call.kernel.send(
        SignalInfo(Signal.SIGPIPE, code: SignalInfo.SI_USER, .kill(pid: call.process.pid, uid: 0)),
        to: call.task, group: false)
    }
    if error == .EAGAIN, blocks(file, position), let queue = file.writeQueue {
      if done > 0, call.task.hasSignal { return Int64(done) }
      call.progress = Progress(bytes: done)
      try call.wait(on: [queue], until: nil)
    }
    if done > 0 { return Int64(done) }
    throw error
  }

  // MARK: Between files

  /// Moves bytes until the source ends, a side would block or fails.
  private static func move(
    _ call: SyscallCall, _ input: OpenFile, _ output: OpenFile, count: Int,
    from start: Int64?, to target: Int64?
  ) throws -> Int {
    var done = call.progress.bytes
    while done < count {
      let part = min(count - done, SyscallCall.chunk)
      do throws(Errno) {
        let position = start.map { $0 &+ Int64(done) }
        let before = input.offset
        let bytes =
          if let position { try input.pread(part, at: position) } else { try input.read(part) }
        if bytes.isEmpty { break }
        var put = 0
        var failure: Errno?
        while put < bytes.count {
          do throws(Errno) {
            let rest = put == 0 ? bytes : Array(bytes[put...])
            let written =
              if let target {
                try output.pwrite(rest, at: target &+ Int64(done + put))
              } else {
                try output.write(rest)
              }
            if written == 0 { break }
            put += written
          } catch {
            failure = error
            break
          }
        }
        done += put
        if put < bytes.count, start == nil { input.offset = before &+ UInt64(put) }
        if let failure { throw failure }
        if put < bytes.count { break }
      } catch {
        if error == .EAGAIN, !output.flags.contains(.nonBlock), let queue = output.writeQueue,
          !output.poll().contains(.output)
        {
          if done > 0, call.task.hasSignal { return done }
          call.progress = Progress(bytes: done)
          try call.wait(on: [queue], until: nil)
        }
        if error == .EPIPE {
          call.kernel.send(.kernel(Signal.SIGPIPE), to: call.task, group: false)
        }
        if done > 0 { return done }
        throw error
      }
    }
    return done
  }

  static func sendfile(_ call: SyscallCall) throws -> Int64 {
    let output = try call.file(0)
    let input = try call.file(1)
    guard input.isReadable, output.isWritable else { throw Errno.EBADF }
    guard input.inode.isSeekable else { throw Errno.EINVAL }
    guard !output.flags.contains(.append) else { throw Errno.EINVAL }
    let count = try call.count(3)
    var start: Int64?
    if call[2] != 0 {
      let value = try call.load(call[2], as: Int64.self)
      guard value >= 0 else { throw Errno.EINVAL }
      start = value
    }
    let done = try move(call, input, output, count: count, from: start, to: nil)
    if let start { try call.store(call[2], start &+ Int64(done)) }
    return Int64(done)
  }

  static func copyRange(_ call: SyscallCall) throws -> Int64 {
    let input = try call.file(0)
    let output = try call.file(2)
    guard call.uint(5) == 0 else { throw Errno.EINVAL }
    guard input.isReadable, output.isWritable, !output.flags.contains(.append) else {
      throw Errno.EBADF
    }
    for file in [input, output] {
      if file.inode.isDirectory { throw Errno.EISDIR }
      guard file.inode.kind == .regular else { throw Errno.EINVAL }
    }
    let count = try call.count(4)
    func position(_ index: Int) throws -> Int64? {
      guard call[index] != 0 else { return nil }
      let value = try call.load(call[index], as: Int64.self)
      guard value >= 0 else { throw Errno.EINVAL }
      return value
    }
    let start = try position(1)
    let target = try position(3)
    if input.inode === output.inode {
      let from = UInt64(start ?? Int64(bitPattern: input.offset))
      let to = UInt64(target ?? Int64(bitPattern: output.offset))
      if from < to &+ UInt64(count), to < from &+ UInt64(count) { throw Errno.EINVAL }
    }
    let done = try move(call, input, output, count: count, from: start, to: target)
    if let start { try call.store(call[1], start &+ Int64(done)) }
    if let target { try call.store(call[3], target &+ Int64(done)) }
    return Int64(done)
  }
}
