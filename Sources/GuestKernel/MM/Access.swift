import Engine

// copy_from_user, copy_to_user, get_user, put_user: the kernel's accesses to a program's memory.
//
// They do what the program's own access would do (demand-zero, copy-on-write, stack growth), and
// fail with `EFAULT` where it would have got a signal.

/// What a futex is known by.
public struct FutexKey: Hashable {
  /// The address space, or what is mapped; not kept by the key.
  private let identity: Unmanaged<AnyObject>
  /// The address, or the place in what is mapped.
  let offset: UInt64

  init(object: AnyObject, offset: UInt64) {
    identity = .passUnretained(object)
    self.offset = offset
  }

  /// The address space, or what is mapped, of a key that was just made.
  var object: AnyObject { identity.takeUnretainedValue() }

  /// Whether both name the same futex.
  public static func == (a: FutexKey, b: FutexKey) -> Bool {
    a.identity.toOpaque() == b.identity.toOpaque() && a.offset == b.offset
  }

  /// Feeds what it is known by into a hasher.
  public func hash(into hasher: inout Hasher) {
    hasher.combine(identity.toOpaque())
    hasher.combine(offset)
  }
}

extension AddressSpace {
  /// The most that one call copies: Linux's `MAX_RW_COUNT`.
  static let maxCopy = 0x7fff_f000

  /// Whether a range lies in user space (`access_ok`).
  @inline(__always)
  public func isUserRange(_ va: UInt64, _ count: Int) -> Bool {
    count >= 0 && UInt64(count) <= isa.userEnd && va <= isa.userEnd &- UInt64(count)
  }

  /// The physical address of a byte that is going to be read.
  @inline(__always)
  func readable(_ va: UInt64) throws(Errno) -> UInt64 {
    if va & MM.pageMask == readPage { return readFrame | va & 4095 }
    let frame = try translate(va, .load)
    readPage = va & MM.pageMask
    readFrame = frame
    return frame | va & 4095
  }

  /// The physical address of a byte that is going to be written.
  @inline(__always)
  func writable(_ va: UInt64) throws(Errno) -> UInt64 {
    if va & MM.pageMask == writePage { return writeFrame | va & 4095 }
    let frame = try translate(va, .store)
    writePage = va & MM.pageMask
    writeFrame = frame
    return frame | va & 4095
  }

  /// The frame of a page for an access that the program itself would be allowed.
  private func translate(_ va: UInt64, _ access: Access) throws(Errno) -> UInt64 {
    let wanted: PageProtection = access == .store ? [.user, .write] : [.user, .read]
    // A fault that was served can need a second one: first for reading, then for writing.
    for _ in 0..<3 {
      if let entry = table.entry(va)?.pointee, let (pa, protection) = present(entry),
        protection.isSuperset(of: wanted), frames.ram.contains(pa, 4096)
      {
        return pa
      }
      guard handleFault(va, access, user: true) == .handled else { throw .EFAULT }
    }
    throw .EFAULT
  }

  /// Copies bytes out of the program's memory (`copy_from_user`).
  ///
  /// - Throws: `EFAULT` where a byte can't be read.
  public func read(_ va: UInt64, _ count: Int) throws(Errno) -> [UInt8] {
    let bytes = readPartial(va, count)
    guard bytes.count == count else { throw .EFAULT }
    return bytes
  }

  /// As many bytes as can be read from `va` on, up to `count`.
  public func readPartial(_ va: UInt64, _ count: Int) -> [UInt8] {
    guard count > 0, count <= Self.maxCopy, isUserRange(va, count) else { return [] }
    var bytes: [UInt8] = []
    if count <= 4096 { bytes.reserveCapacity(count) }
    var position = va
    let end = va &+ UInt64(count)
    while position < end {
      let size = min(4096 &- (position & 4095), end &- position)
      guard let pa = try? readable(position) else { break }
      bytes.append(
        contentsOf: UnsafeRawBufferPointer(start: frames.ram.pointer(pa), count: Int(size)))
      position &+= size
    }
    return bytes
  }

  /// Copies bytes into the program's memory (`copy_to_user`).
  ///
  /// What precedes the first byte that can't be written is written, as on Linux.
  ///
  /// - Throws: `EFAULT`
  public func write(_ va: UInt64, _ bytes: [UInt8]) throws(Errno) {
    guard writePartial(va, bytes) == bytes.count else { throw .EFAULT }
  }

  /// Copies as many bytes as can be written.
  ///
  /// - Returns: how many.
  public func writePartial(_ va: UInt64, _ bytes: [UInt8]) -> Int {
    bytes.withUnsafeBytes { writePartial(va, $0) }
  }

  /// Copies as many bytes as can be written.
  ///
  /// - Returns: how many.
  public func writePartial(_ va: UInt64, _ bytes: UnsafeRawBufferPointer) -> Int {
    guard bytes.count > 0, isUserRange(va, bytes.count) else { return 0 }
    var done = 0
    while done < bytes.count {
      let position = va &+ UInt64(done)
      let size = min(4096 - Int(position & 4095), bytes.count - done)
      guard let pa = try? writable(position) else { break }
      frames.ram.write(pa, UnsafeRawBufferPointer(rebasing: bytes[done..<(done + size)]))
      done += size
    }
    return done
  }

  /// Fills a range with zeroes (`clear_user`).
  public func clear(_ va: UInt64, _ count: Int) throws(Errno) {
    guard isUserRange(va, count) else { throw .EFAULT }
    var position = va
    let end = va &+ UInt64(count)
    while position < end {
      let size = min(4096 &- (position & 4095), end &- position)
      frames.ram.zero(try writable(position), size)
      position &+= size
    }
  }

  /// Reads one value (`get_user`).
  ///
  /// - Throws: `EFAULT`
  @inline(__always)
  public func load<T: FixedWidthInteger & BitwiseCopyable>(
    _ va: UInt64, as: T.Type
  ) throws(Errno) -> T {
    let size = UInt64(MemoryLayout<T>.size)
    if va & 4095 <= 4096 &- size, va < isa.userEnd {
      return frames.ram.pointer(try readable(va)).loadUnaligned(as: T.self)
    }
    let bytes = try read(va, MemoryLayout<T>.size)
    return bytes.withUnsafeBytes { $0.loadUnaligned(as: T.self) }
  }

  /// Writes one value (`put_user`); nothing where a byte of it can't be written.
  ///
  /// - Throws: `EFAULT`
  @inline(__always)
  public func store<T: FixedWidthInteger & BitwiseCopyable>(
    _ va: UInt64, _ value: T
  ) throws(Errno) {
    let size = UInt64(MemoryLayout<T>.size)
    if va & 4095 <= 4096 &- size, va < isa.userEnd {
      frames.ram.store(try writable(va), value)
      return
    }
    guard isUserRange(va, Int(size)) else { throw .EFAULT }
    _ = try writable(va &+ size &- 1)
    withUnsafeBytes(of: value) { _ = writePartial(va, $0) }
  }

  /// Bytes up to a NUL, which is not among them (`strncpy_from_user`).
  ///
  /// - Throws: `EFAULT`; `ENAMETOOLONG` where `max` bytes hold no NUL.
  public func readCString(_ va: UInt64, max: Int) throws(Errno) -> [UInt8] {
    var bytes: [UInt8] = []
    var position = va
    while bytes.count < max {
      guard position < isa.userEnd else { throw .EFAULT }
      let pa = try readable(position)
      let size = min(4096 - Int(position & 4095), max - bytes.count)
      let chunk = UnsafeRawBufferPointer(start: frames.ram.pointer(pa), count: size)
      if let end = chunk.firstIndex(of: 0) {
        bytes.append(contentsOf: chunk[..<end])
        return bytes
      }
      bytes.append(contentsOf: chunk)
      position &+= UInt64(size)
    }
    throw .ENAMETOOLONG
  }

  // MARK: Accesses that the program itself might not be allowed

  /// Reads what is mapped whatever its protection (`access_process_vm` with `FOLL_FORCE`).
  public func readForced(_ va: UInt64, _ count: Int) throws(Errno) -> [UInt8] {
    guard count >= 0, count <= Self.maxCopy, isUserRange(va, count) else { throw .EFAULT }
    var bytes: [UInt8] = []
    var position = va
    let end = va &+ UInt64(count)
    while position < end {
      let size = min(4096 &- (position & 4095), end &- position)
      let pa = try forced(position, write: false) | position & 4095
      bytes.append(
        contentsOf: UnsafeRawBufferPointer(start: frames.ram.pointer(pa), count: Int(size)))
      position &+= size
    }
    return bytes
  }

  /// Writes what is mapped whatever its protection: into a private copy of the page, or through a
  /// shared writable mapping.
  ///
  /// Breakpoints are placed so; fetch is asked to see it.
  ///
  /// - Throws: `EFAULT` where nothing is mapped; `EIO` for a shared mapping that is not writable;
  ///   `ENOMEM` where there is no frame for the copy.
  public func writeForced(_ va: UInt64, _ bytes: [UInt8]) throws(Errno) {
    guard isUserRange(va, bytes.count) else { throw .EFAULT }
    var done = 0
    while done < bytes.count {
      let position = va &+ UInt64(done)
      let size = min(4096 - Int(position & 4095), bytes.count - done)
      let frame = try forced(position, write: true)
      frames.ram.write(frame | position & 4095, Array(bytes[done..<(done + size)]))
      instructionFlushNeeded = true
      done += size
    }
  }

  private func forced(_ va: UInt64, write: Bool) throws(Errno) -> UInt64 {
    let index = findIndex(va)
    guard index < vmas.count, vmas[index].start <= va else { throw .EFAULT }
    let prot = vmas[index].prot
    if write, !vmas[index].isPrivate, prot & MM.PROT_WRITE == 0 { throw .EIO }
    if !write, let entry = table.entry(va)?.pointee, let (pa, _) = present(entry) { return pa }
    let outcome = populate(index, va, write: write)
    if outcome == .outOfMemory { throw .ENOMEM }
    guard outcome == .handled, let entry = table.entry(va)?.pointee,
      let (pa, protection) = present(entry)
    else { throw .EFAULT }
    if write, vmas[index].isPrivate, frames.references(pa) != 1, !protection.contains(.write) {
      throw .EFAULT
    }
    return pa
  }

  /// Drops the private copy of a file's page where it says the same as the file again, so that the
  /// next access finds the file's.
  ///
  /// - SeeAlso: Linux, `kernel/events/uprobes.c`, `uprobe_write_opcode`
  public func dropIdenticalCopy(_ va: UInt64) {
    guard let vma = vma(at: va), vma.isPrivate, let inode = vma.file?.inode,
      let slot = table.entry(va), let (pa, _) = present(slot.pointee),
      let cached = try? inode.page(vma.index(va), forWrite: false), cached != pa,
      frames.ram.contains(pa, 4096), frames.ram.contains(cached, 4096),
      frames.ram.bytes(pa, 4096) == frames.ram.bytes(cached, 4096)
    else { return }
    slot.pointee = 0
    frames.release(pa)
    residentPages -= 1
    changed(va)
  }

  /// The frame and the place in it where a byte is, if its page is present: for probes and dumps.
  public func physical(_ va: UInt64) -> UInt64? {
    guard va < isa.userEnd, let entry = table.entry(va)?.pointee, let (pa, _) = present(entry)
    else { return nil }
    return pa | va & 4095
  }

  /// What a futex at `va` is known by: this object and the address, or, where the mapping is shared,
  /// what is mapped and the place in it.
  ///
  /// - Parameters:
  ///   - va: its address.
  ///   - shared: `FUTEX_PRIVATE_FLAG` is not set.
  /// - Returns: the same for the same futex, in whatever process.
  /// - Throws: `EINVAL` where `va` is not a multiple of 4; `EFAULT`
  public func futexKey(_ va: UInt64, shared: Bool) throws(Errno) -> FutexKey {
    guard va & 3 == 0 else { throw .EINVAL }
    guard isUserRange(va, 4) else { throw .EFAULT }
    let own = FutexKey(object: self, offset: va)
    guard shared else { return own }
    _ = try readable(va)
    guard let vma = vma(at: va) else { throw .EFAULT }
    if vma.isPrivate { return own }
    let offset = vma.index(va) << 12 | va & 4095
    switch vma.backing {
    case .file(let file): return FutexKey(object: file.inode, offset: offset)
    case .shared(let memory): return FutexKey(object: memory, offset: offset)
    case .anonymous, .special: return own
    }
  }
}
