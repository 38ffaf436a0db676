import Engine

/// A node of procfs: what it shows is made when it is asked for.
///
/// A snapshot keeps its place in the tree. What makes its text is found again by that, once it is
/// needed.
class ProcNode: Inode {
  /// The directory that made it, and for which name; `nil`: it is the root.
  fileprivate(set) var place: (directory: ProcDirectory, name: Path)?
  private unowned var vfs: VFS?

  override init(_ fileSystem: FileSystem, _ mode: FileMode, number: UInt64? = nil) {
    super.init(fileSystem, mode, number: number)
  }

  package required init(placeholderFor a: Archive) { super.init(placeholderFor: a) }

  package override func archive(_ a: Archive) {
    super.archive(a)
    var directory = place?.directory
    var name = place?.name ?? Path([UInt8]())
    a.parts("place") {
      a.ref("directory", &directory)
      a("name", &name)
    }
    a.transient(["vfs"])
    guard a.isReading else { return }
    place = directory.map { ($0, name) }
    a.afterwards { [self] in vfs = a.kernel.vfs }
  }

  /// A node that shows the same.
  final func remade() -> ProcNode? {
    if let place { return place.directory.again(place.name) }
    return vfs.flatMap { ProcTree.makeRoot(fileSystem, $0) as? ProcNode }
  }
}

/// A file of `/proc` whose text is made when it is opened and read from the beginning.
final class ProcText: ProcNode {
  private var make: ((_ about: OpenFile?) throws(Errno) -> [UInt8])?
  /// What it tells of, where that is no task.
  private(set) var subject: OpenFile?

  /// The text as a first read found it.
  final class Copy: Archivable {
    var bytes: [UInt8]
    init(_ bytes: [UInt8]) { self.bytes = bytes }

    package init(placeholderFor a: Archive) { bytes = [] }
    package func archive(_ a: Archive) { a("bytes", &bytes) }
  }

  init(
    _ fileSystem: FileSystem, number: UInt64, permissions: UInt32 = 0o444,
    about subject: OpenFile? = nil,
    _ make: @escaping (_ about: OpenFile?) throws(Errno) -> [UInt8]
  ) {
    self.make = make
    self.subject = subject
    super.init(fileSystem, FileMode(.regular, permissions), number: number)
  }

  package required init(placeholderFor a: Archive) { super.init(placeholderFor: a) }

  package override func archive(_ a: Archive) {
    super.archive(a)
    a.ref("subject", &subject)
    a.transient(["make"])
  }

  private func text() throws(Errno) -> [UInt8] {
    if make == nil { make = (remade() as? ProcText)?.make }
    guard let make else { throw .ESRCH }
    return try make(subject)
  }

  override var isSeekable: Bool { true }

  override func read(
    at offset: UInt64, _ count: Int, _ file: OpenFile? = nil
  ) throws(Errno)
    -> [UInt8]
  {
    let bytes: [UInt8]
    if offset > 0, let kept = file?.state as? Copy {
      bytes = kept.bytes
    } else {
      bytes = try text()
      file?.state = Copy(bytes)
    }
    guard count > 0, offset < UInt64(bytes.count) else { return [] }
    return Array(bytes[Int(offset)...].prefix(count))
  }
}

/// `/proc/pid/mem`: the memory of a process, by address.
final class ProcMemory: ProcNode {
  private var find: (() -> (any UserMemory)?)?

  package required init(placeholderFor a: Archive) { super.init(placeholderFor: a) }

  package override func archive(_ a: Archive) {
    super.archive(a)
    a.transient(["find"])
  }

  private func memory() -> (any UserMemory)? {
    if find == nil { find = (remade() as? ProcMemory)?.find }
    return find?()
  }

  init(_ fileSystem: FileSystem, number: UInt64, _ memory: @escaping () -> (any UserMemory)?) {
    find = memory
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
final class ProcLink: ProcNode {
  private var text: (() throws(Errno) -> Path)?
  private var target: (() throws(Errno) -> Dentry)?

  package required init(placeholderFor a: Archive) { super.init(placeholderFor: a) }

  package override func archive(_ a: Archive) {
    super.archive(a)
    a.transient(["text", "target"])
  }

  private func remake() {
    guard text == nil, let same = remade() as? ProcLink else { return }
    text = same.text
    target = same.target
  }

  init(
    _ fileSystem: FileSystem, number: UInt64, permissions: UInt32 = 0o777,
    target: (() throws(Errno) -> Dentry)? = nil, text: @escaping () throws(Errno) -> Path
  ) {
    self.text = text
    self.target = target
    super.init(fileSystem, FileMode(.symlink, permissions), number: number)
  }

  override func readlink() throws(Errno) -> Path {
    remake()
    guard let text else { throw .ENOENT }
    let path = try text()
    guard path.bytes.count < Path.pathLimit else { throw .ENAMETOOLONG }
    return path
  }
  override func magicTarget() throws(Errno) -> Dentry? {
    remake()
    guard let target else { return nil }
    return try target()
  }
}

/// A directory of `/proc`: its names are asked for each time.
final class ProcDirectory: ProcNode {
  /// One name: its place in the listing and what it is.
  struct Entry {
    var name: Path
    var kind: FileKind
    /// Its inode number, and place in the listing: greater than those before.
    var number: UInt64
    var place: UInt64
  }

  /// Makes the node of a name; one that need not exist even where what it tells of has gone.
  typealias Make = (_ name: Path, _ mustExist: Bool) throws(Errno) -> ProcNode?

  private var entries: (() -> [Entry])?
  private var make: Make?

  package required init(placeholderFor a: Archive) { super.init(placeholderFor: a) }

  package override func archive(_ a: Archive) {
    super.archive(a)
    a.transient(["entries", "make"])
  }

  private func remake() {
    guard make == nil, let same = remade() as? ProcDirectory else { return }
    entries = same.entries
    make = same.make
  }

  /// The node of a name, as it was made before.
  fileprivate func again(_ name: Path) -> ProcNode? {
    remake()
    return try? make?(name, false)
  }

  init(
    _ fileSystem: FileSystem, number: UInt64, permissions: UInt32 = 0o555,
    entries: @escaping () -> [Entry], make: @escaping Make
  ) {
    self.entries = entries
    self.make = make
    super.init(fileSystem, FileMode(.directory, permissions), number: number)
    links = 2
  }

  override var isEmpty: Bool { false }

  override func lookup(_ name: Path, in here: Dentry) throws(Errno) -> Dentry? {
    remake()
    guard let make, let inode = try make(name, true) else { return nil }
    inode.place = (self, name)
    return Dentry(inode, name: name, parent: here)
  }

  override func list(
    from cookie: UInt64, limit: Int, in here: Dentry
  ) throws(Errno)
    -> [DirectoryEntry]
  {
    // Places count from 0; cookies 0 and 1 are `.` and `..`.
    remake()
    return Array(
      (entries?() ?? []).lazy.filter { $0.place &+ 2 >= cookie }.prefix(max(limit, 0)).map {
        DirectoryEntry(cookie: $0.place &+ 2, inode: $0.number, kind: $0.kind, name: $0.name)
      })
  }
}
