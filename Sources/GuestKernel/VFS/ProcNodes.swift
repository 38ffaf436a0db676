/// A file of `/proc` whose text is made when it is opened and read from the beginning.
final class ProcText: Inode {
  private let make: () throws(Errno) -> [UInt8]

  private final class Snapshot {
    var bytes: [UInt8]
    init(_ bytes: [UInt8]) { self.bytes = bytes }
  }

  init(
    _ fileSystem: FileSystem, number: UInt64, permissions: UInt32 = 0o444,
    _ make: @escaping () throws(Errno) -> [UInt8]
  ) {
    self.make = make
    super.init(fileSystem, FileMode(.regular, permissions), number: number)
  }

  override var isSeekable: Bool { true }

  override func read(
    at offset: UInt64, _ count: Int, _ file: OpenFile? = nil
  ) throws(Errno)
    -> [UInt8]
  {
    let bytes: [UInt8]
    if offset > 0, let kept = file?.state as? Snapshot {
      bytes = kept.bytes
    } else {
      bytes = try make()
      file?.state = Snapshot(bytes)
    }
    guard count > 0, offset < UInt64(bytes.count) else { return [] }
    return Array(bytes[Int(offset)...].prefix(count))
  }
}

/// `/proc/pid/mem`: the memory of a process, by address.
final class ProcMemory: Inode {
  private let memory: () -> (any UserMemory)?

  init(_ fileSystem: FileSystem, number: UInt64, _ memory: @escaping () -> (any UserMemory)?) {
    self.memory = memory
    super.init(fileSystem, FileMode(.regular, 0o600), number: number)
  }

  override var isSeekable: Bool { true }
  override func read(
    at offset: UInt64, _ count: Int, _ file: OpenFile? = nil
  ) throws(Errno)
    -> [UInt8]
  {
    guard let memory = memory() else { return [] }
    guard count > 0 else { return [] }
    let piece = min(count, Int(Self.pageSize &- offset % Self.pageSize))
    do { return try memory.readForced(offset, piece) } catch { throw .EIO }
  }
  override func write(
    at offset: UInt64, _ bytes: [UInt8], _ file: OpenFile? = nil
  ) throws(Errno)
    -> Int
  {
    guard let memory = memory() else { return 0 }
    let piece = min(bytes.count, Int(Self.pageSize &- offset % Self.pageSize))
    do { try memory.writeForced(offset, Array(bytes[..<piece])) } catch { throw .EIO }
    return piece
  }
}

/// A link of `/proc`: its text, and for a magic link the place itself.
final class ProcLink: Inode {
  private let text: () throws(Errno) -> Path
  private let target: (() throws(Errno) -> Dentry)?

  init(
    _ fileSystem: FileSystem, number: UInt64, permissions: UInt32 = 0o777,
    target: (() throws(Errno) -> Dentry)? = nil, text: @escaping () throws(Errno) -> Path
  ) {
    self.text = text
    self.target = target
    super.init(fileSystem, FileMode(.symlink, permissions), number: number)
  }

  override func readlink() throws(Errno) -> Path {
    let path = try text()
    guard path.bytes.count < Path.pathLimit else { throw .ENAMETOOLONG }
    return path
  }
  override func magicTarget() throws(Errno) -> Dentry? {
    guard let target else { return nil }
    return try target()
  }
}

/// A directory of `/proc`: its names are asked for each time.
final class ProcDirectory: Inode {
  /// One name: its place in the listing and what it is.
  struct Entry {
    var name: Path
    var kind: FileKind
    /// Its inode number, and place in the listing: greater than those before.
    var number: UInt64
    var place: UInt64
  }

  private let entries: () -> [Entry]
  private let make: (Path) throws(Errno) -> Inode?

  init(
    _ fileSystem: FileSystem, number: UInt64, permissions: UInt32 = 0o555,
    entries: @escaping () -> [Entry], make: @escaping (Path) throws(Errno) -> Inode?
  ) {
    self.entries = entries
    self.make = make
    super.init(fileSystem, FileMode(.directory, permissions), number: number)
    links = 2
  }

  override var isEmpty: Bool { false }

  override func lookup(_ name: Path, in here: Dentry) throws(Errno) -> Dentry? {
    guard let inode = try make(name) else { return nil }
    return Dentry(inode, name: name, parent: here)
  }

  override func list(
    from cookie: UInt64, limit: Int, in here: Dentry
  ) throws(Errno)
    -> [DirectoryEntry]
  {
    // Places count from 0; cookies 0 and 1 are `.` and `..`.
    Array(
      entries().lazy.filter { $0.place &+ 2 >= cookie }.prefix(max(limit, 0)).map {
        DirectoryEntry(cookie: $0.place &+ 2, inode: $0.number, kind: $0.kind, name: $0.name)
      })
  }
}
