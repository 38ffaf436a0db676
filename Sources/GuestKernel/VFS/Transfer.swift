/// Reading and writing a program's memory in bounded pieces, and listings.
extension OpenFile {
  private static let piece: UInt64 = 65536
  private static let streamPiece: UInt64 = 1 << 20

  /// `read` (or, with `position`, `pread64`) straight into a program's memory, in bounded pieces.
  ///
  /// A fault after the first piece makes it short, as in Linux; what could not be delivered stays.
  public func read(
    _ count: UInt64, to memory: any UserMemory, _ va: UInt64, position: Int64? = nil
  ) throws(Errno) -> Int {
    var total: UInt64 = 0
    var left = min(count, Self.transferLimit)
    while true {
      let wanted = min(left, inode.isSeekable ? Self.piece : Self.streamPiece)
      let bytes: [UInt8]
      do {
        bytes = try readPiece(Int(wanted), position, total)
      } catch {
        guard total > 0 else { throw error }
        break
      }
      if bytes.isEmpty { break }
      let delivered = deliver(bytes, memory, va &+ total)
      total &+= UInt64(delivered)
      left &-= UInt64(delivered)
      if delivered < bytes.count {
        putBack(Array(bytes[delivered...]), moved: position == nil)
        guard total > 0 else { throw .EFAULT }
        break
      }
      guard inode.isSeekable, left > 0, UInt64(bytes.count) == wanted else { break }
    }
    return Int(total)
  }

  private func readPiece(
    _ count: Int, _ position: Int64?, _ done: UInt64
  ) throws(Errno)
    -> [UInt8]
  {
    guard let position else { return try read(count) }
    let (sum, overflow) = position.addingReportingOverflow(Int64(done))
    guard !overflow else { return [] }
    return try pread(count, at: sum)
  }

  private func putBack(_ bytes: [UInt8], moved: Bool) {
    if inode.hasPosition {
      if moved { offset &-= UInt64(bytes.count) }
    } else {
      inode.unread(bytes, self)
    }
  }

  /// - Returns: how many bytes could be written before a fault.
  private func deliver(_ bytes: [UInt8], _ memory: any UserMemory, _ va: UInt64) -> Int {
    if (try? memory.write(va, bytes)) != nil { return bytes.count }
    var done = 0
    while done < bytes.count {
      let here = va &+ UInt64(done)
      let piece = min(bytes.count - done, Int(Inode.pageSize &- here % Inode.pageSize))
      guard (try? memory.write(here, Array(bytes[done..<done + piece]))) != nil else { break }
      done += piece
    }
    return done
  }

  /// `write` (or `pwrite64`) straight from a program's memory, in bounded pieces.
  ///
  /// A descriptor that may block and got less than all is written again by the caller, until
  /// `EAGAIN` says to wait.
  public func write(
    _ count: UInt64, from memory: any UserMemory, _ va: UInt64, position: Int64? = nil
  ) throws(Errno) -> Int {
    var total: UInt64 = 0
    var left = min(count, Self.transferLimit)
    // Errors of the descriptor come before errors of the memory.
    guard isWritable else { throw position.map { $0 < 0 } == true ? .EINVAL : .EBADF }
    if let position, position < 0 { throw .EINVAL }
    repeat {
      var wanted = min(left, inode.isSeekable ? Self.piece : Self.streamPiece)
      do throws(Errno) {
        let bytes: [UInt8]
        if let whole = try? memory.read(va &+ total, Int(wanted)) {
          bytes = whole
        } else {
          // A piece that faults is tried up to the end of its first page, unless it must be whole.
          guard inode.isSeekable || total > 0 else { throw .EFAULT }
          wanted = min(wanted, Inode.pageSize &- (va &+ total) % Inode.pageSize)
          bytes = try memory.read(va &+ total, Int(wanted))
        }
        let done: Int
        if let position {
          let (sum, overflow) = position.addingReportingOverflow(Int64(total))
          guard !overflow else { throw .EFBIG }
          done = try pwrite(bytes, at: sum)
        } else {
          done = try write(bytes)
        }
        total &+= UInt64(done)
        left &-= min(left, UInt64(done))
        if UInt64(done) < wanted { break }
      } catch {
        guard total > 0 else { throw error }
        break
      }
    } while left > 0
    return Int(total)
  }

  /// `getdents64`: whole records of at most `count` bytes, none at the end; moves the position.
  ///
  /// - SeeAlso: Linux, `include/linux/dirent.h`, `struct linux_dirent64`.
  public func readDirectory(_ count: Int) throws(Errno) -> [UInt8] {
    guard !flags.contains(.path) else { throw .EBADF }
    guard inode.isDirectory else { throw .ENOTDIR }
    guard !inode.isDead else { throw .ENOENT }
    let limit = min(max(count, 0), 1 << 20)
    var records: [UInt8] = []
    var isFull = false
    while !isFull {
      let entries = try nextEntries()
      if entries.isEmpty { break }
      for entry in entries {
        let length = (19 + entry.name.bytes.count + 1 + 7) & ~7
        guard records.count + length <= limit else {
          guard !records.isEmpty else { throw .EINVAL }
          isFull = true
          break
        }
        let end = records.count + length
        records += littleEndian(entry.inode)
        records += littleEndian(entry.cookie &+ 1)
        records += littleEndian(UInt16(length))
        records.append(entry.kind.directoryType)
        records += entry.name.bytes
        records += [UInt8](repeating: 0, count: end - records.count)
        offset = entry.cookie &+ 1
      }
    }
    if !flags.contains(.noAccessTime) { inode.noteAccess() }
    return records
  }

  private func nextEntries() throws(Errno) -> [DirectoryEntry] {
    switch offset {
    case 0:
      return [DirectoryEntry(cookie: 0, inode: inode.number, kind: .directory, name: .dot)]
    case 1:
      let up = (dentry.covered ?? dentry).parent?.inode ?? inode
      return [DirectoryEntry(cookie: 1, inode: up.number, kind: .directory, name: .dotDot)]
    default: return try inode.list(from: offset, limit: 64, in: dentry)
    }
  }
}
