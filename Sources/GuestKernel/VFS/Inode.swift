import Engine

/// Who maps pages of an inode: an address space (an entry of `i_mmap`).
public protocol InodeMapping: AnyObject {
  /// The pages from `index` on are about to leave the page cache: unmap them, private copies
  /// included.
  func unmapPages(of inode: Inode, from index: UInt64)
}

/// A file: its attributes, and what can be done to it whatever its name.
///
/// Kinds of files are subclasses; what they do not override answers as Linux answers for a missing
/// operation.
public class Inode: Archivable {
  /// Bytes in a page of the page cache.
  public static let pageSize: UInt64 = 4096
  /// `MAX_LFS_FILESIZE`: no file is longer.
  public static let sizeLimit = UInt64(Int64.max)

  /// The file system that it belongs to.
  @exclusivity(unchecked) public private(set) var fileSystem: FileSystem
  /// Inode number.
  public private(set) var number: UInt64
  /// Kind and permissions.
  public internal(set) var mode: FileMode
  /// Owner.
  public internal(set) var uid: UInt32 = 0
  /// Group.
  public internal(set) var gid: UInt32 = 0
  /// Number of hard links.
  public internal(set) var links: UInt32 = 1
  /// The device that it is, for device files.
  public internal(set) var representedDevice = DeviceNumber(0, 0)
  /// Times in nanoseconds since 1970: last access, change of data, change of the inode, birth.
  public internal(set) var accessed, modified, changed, created: Int64

  /// How many open files can write to it, and how many forbid it (`i_writecount`).
  var writers = 0
  var writeDenials = 0
  private(set) var locks = FileLocks()
  private var mappings: [MappingEntry] = []

  init(_ fileSystem: FileSystem, _ mode: FileMode, number: UInt64? = nil) {
    self.fileSystem = fileSystem
    self.number = number ?? fileSystem.nextInode()
    self.mode = mode
    let time = fileSystem.time
    accessed = time
    modified = time
    changed = time
    created = time
  }

  package required init(placeholderFor a: Archive) {
    fileSystem = a.placeholder(FileSystem.self)
    (number, mode) = (0, [])
    (accessed, modified, changed, created) = (0, 0, 0, 0)
  }

  package func archive(_ a: Archive) {
    a.ref("fileSystem", &fileSystem)
    a("number", &number)
    a("mode", &mode)
    a("uid", &uid)
    a("gid", &gid)
    a("links", &links)
    a("representedDevice", &representedDevice)
    a("accessed", &accessed)
    a("modified", &modified)
    a("changed", &changed)
    a("created", &created)
    a("writers", &writers)
    a("writeDenials", &writeDenials)
    // Few files are ever locked.
    var hasLocks = !locks.isIdle
    a("", &hasLocks)
    if hasLocks { a.ref("locks", &locks) }
    var spaces = mappings.compactMap { $0.mapping as? AddressSpace }
    a.refs("mappings", &spaces)
    if a.isReading { mappings = spaces.map { MappingEntry($0) } }
    a.transient(["locks"])
  }

  /// What it is.
  public final var kind: FileKind { mode.kind }
  /// Whether it is a directory.
  public final var isDirectory: Bool { mode.kind == .directory }
  /// Bytes.
  public var size: UInt64 { 0 }
  /// Units of 512 bytes in use.
  var blocks: UInt64 { 0 }
  var blockSize: UInt32 { 4096 }
  /// Whether it is gone: nothing can be made in it.
  var isDead: Bool { links == 0 }

  /// What `stat` tells.
  public func attributes() -> FileAttributes {
    FileAttributes(
      device: fileSystem.device, inode: number, mode: mode, links: links, uid: uid, gid: gid,
      representedDevice: representedDevice, size: size, blockSize: blockSize, blocks: blocks,
      accessed: accessed, modified: modified, changed: changed, created: created)
  }

  // MARK: Data

  /// Whether it has positions: `lseek`, `pread` and `pwrite` work.
  public var isSeekable: Bool { false }
  /// Whether reading and writing move the position.
  var hasPosition: Bool { isSeekable }
  /// Whether its pages can be mapped with ``page(_:forWrite:)``.
  ///
  /// Anonymous zero pages of `/dev/zero` are told by ``isZeroDevice``.
  public var isMappable: Bool { false }
  /// Whether a mapping of it is anonymous memory (`/dev/zero`).
  public var isZeroDevice: Bool { false }

  /// The cached frame of a page, filled with the file's bytes.
  ///
  /// The cache holds one reference; the caller retains for itself.
  ///
  /// - Throws: `EFAULT` for a page wholly beyond the end (a mapping gets `SIGBUS`), `ENOMEM`,
  ///   `EIO`, `ENODEV` where the file has no pages.
  public func page(_ index: UInt64, forWrite: Bool) throws(Errno) -> UInt64 { throw .ENODEV }

  /// Reads up to `count` bytes; nothing at the end of the file.
  ///
  /// Files without positions ignore `offset`, and throw `EAGAIN` where a reader has to wait.
  public func read(
    at offset: UInt64, _ count: Int, _ file: OpenFile? = nil
  ) throws(Errno)
    -> [UInt8]
  { throw .EINVAL }

  /// Writes bytes, perhaps not all; never none unless `bytes` is empty.
  ///
  /// Files without positions ignore `offset`, and throw `EAGAIN` where a writer has to wait.
  public func write(
    at offset: UInt64, _ bytes: [UInt8], _ file: OpenFile? = nil
  ) throws(Errno)
    -> Int
  { throw .EINVAL }

  /// Makes the file `size` bytes long.
  public func truncate(to size: UInt64) throws(Errno) { throw .EINVAL }

  /// Reserves (mode 0, `FALLOC_FL_KEEP_SIZE` 1) or clears (`FALLOC_FL_PUNCH_HOLE` 2 | 1,
  /// `FALLOC_FL_ZERO_RANGE` 0x10) a range.
  func allocate(mode: Int32, _ offset: UInt64, _ count: UInt64) throws(Errno) { throw .EOPNOTSUPP }

  /// The next data (or hole) at or after an offset below ``size``.
  func seekData(_ offset: UInt64, hole: Bool) -> UInt64? { hole ? size : offset }

  // MARK: Streams and devices

  /// What can be done now.
  func poll(_ file: OpenFile) -> PollEvents { .always }
  /// Who waits to read, and to write.
  ///
  /// `nil` where nobody ever waits.
  func readQueue(_ file: OpenFile) -> WaitQueue? { nil }
  func writeQueue(_ file: OpenFile) -> WaitQueue? { nil }
  /// A device's own requests.
  func ioctl(
    _ request: UInt32, _ argument: UInt64, _ memory: any UserMemory, _ file: OpenFile
  )
    throws(Errno) -> Int
  { throw .ENOTTY }
  /// An open file of this inode comes into being: may refuse.
  func open(_ file: OpenFile) throws(Errno) {}
  /// An open file with these flags is gone.
  func closed(_ flags: OpenFlags) {}

  // MARK: Directories and links

  /// The name in this directory, `nil` where there is none.
  ///
  /// `here` is the directory's dentry.
  func lookup(_ name: Path, in here: Dentry) throws(Errno) -> Dentry? { throw .ENOTDIR }
  /// Entries with a cookie of at least `cookie`, in order, at most `limit` of them.
  ///
  /// Cookies 0 and 1 are `.` and `..`.
  func list(from cookie: UInt64, limit: Int, in here: Dentry) throws(Errno) -> [DirectoryEntry] {
    throw .ENOTDIR
  }
  /// Adds a name that is not there.
  func insert(_ dentry: Dentry) throws(Errno) { throw .EPERM }
  /// Removes a name that is there.
  func remove(_ dentry: Dentry) throws(Errno) { throw .EPERM }
  /// Whether a directory has no names.
  var isEmpty: Bool { true }
  /// The text of a symbolic link.
  func readlink() throws(Errno) -> Path { throw .EINVAL }
  /// Where a magic link of `/proc` leads, without a walk; `nil` for others.
  func magicTarget() throws(Errno) -> Dentry? { nil }
  /// Gives up the names below it, at the end of the machine.
  func takeChildren() -> [Dentry] { [] }
  /// Puts bytes back that were read and could not be delivered.
  func unread(_ bytes: [UInt8], _ file: OpenFile) {}
  /// Where an opening has to wait for its other side.
  func openQueue(_ file: OpenFile) -> WaitQueue? { nil }

  // MARK: Times

  /// Notes that it was read.
  ///
  /// As `relatime`: only where it changed since the last time, or after a day.
  final func noteAccess() {
    guard !fileSystem.isReadOnly else { return }
    let time = fileSystem.time
    if accessed <= modified || accessed <= changed || time &- accessed >= 86_400_000_000_000 {
      accessed = time
    }
  }

  // MARK: Mappings

  /// Notes that `mapping` maps pages of this inode; the inode does not keep it alive, and is told by
  /// ``removeMapping(_:)`` before it goes.
  public final func addMapping(_ mapping: any InodeMapping) {
    let entry = MappingEntry(mapping)
    if !mappings.contains(where: { $0.id == entry.id }) { mappings.append(entry) }
  }

  /// Forgets a mapping.
  public final func removeMapping(_ mapping: any InodeMapping) {
    let id = ObjectIdentifier(mapping)
    mappings.removeAll { $0.id == id }
  }

  /// Who maps pages of this inode, in the order of their coming.
  public final var currentMappings: [any InodeMapping] { mappings.map(\.mapping) }

  final func unmapPages(from index: UInt64) {
    for mapping in currentMappings { mapping.unmapPages(of: self, from: index) }
  }
}

private struct MappingEntry {
  let id: ObjectIdentifier
  // A weak reference would make every count of references to an address space slow.
  unowned(unsafe) let mapping: any InodeMapping

  init(_ mapping: any InodeMapping) {
    id = ObjectIdentifier(mapping)
    self.mapping = mapping
  }
}

/// One entry of a directory, before it is encoded.
struct DirectoryEntry {
  /// Where it is in the listing; the next entry's is greater.
  var cookie: UInt64
  var inode: UInt64
  var kind: FileKind
  var name: Path
}
