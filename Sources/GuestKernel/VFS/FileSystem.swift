import Engine

/// A mounted file system: what its inodes share (`struct super_block`).
public final class FileSystem: Archivable {
  /// The device number that `stat` shows.
  public private(set) var device: DeviceNumber
  /// What `/proc/mounts` calls it.
  public private(set) var typeName: String
  /// `f_type` of `statfs`.
  public private(set) var magic: UInt64
  /// Whether nothing can be changed.
  public private(set) var isReadOnly: Bool
  /// Frames for the page cache.
  @exclusivity(unchecked) public private(set) var frames: PageAllocator
  /// Nanoseconds since 1970, now; without it is always 1970.
  private var clock: (() -> UInt64)?

  /// Frames that its files hold.
  private(set) var cachedPages = 0
  /// Names in its directories: at most ``nameLimit``, so that a guest can't eat the host's memory.
  var names: UInt64 = 0
  /// As tmpfs's `nr_inodes`: one for two pages of RAM.
  private(set) var nameLimit: UInt64
  /// Frees frames that can be filled again.
  weak var reclaimer: HostTree?
  private var lastInode: UInt64 = 0

  /// A file system without files.
  public init(
    device: DeviceNumber, typeName: String, magic: UInt64, isReadOnly: Bool = false,
    frames: PageAllocator, now: (() -> UInt64)?
  ) {
    self.device = device
    self.typeName = typeName
    self.magic = magic
    self.isReadOnly = isReadOnly
    self.frames = frames
    clock = now
    nameLimit = UInt64(max(frames.total / 2, 64))
  }

  package init(placeholderFor a: Archive) {
    device = DeviceNumber(0, 0)
    (typeName, magic, isReadOnly, nameLimit) = ("", 0, false, 0)
    frames = a.placeholder(PageAllocator.self)
  }

  package func archive(_ a: Archive) {
    a("device", &device)
    a("typeName", &typeName)
    a("magic", &magic)
    a("isReadOnly", &isReadOnly)
    a.ref("frames", &frames)
    var hasClock = clock != nil
    a("", &hasClock)
    if a.isReading { clock = hasClock ? a.kernel.vfs.now : nil }
    a("cachedPages", &cachedPages)
    a("names", &names)
    a("nameLimit", &nameLimit)
    a.ref("reclaimer", &reclaimer)
    a("lastInode", &lastInode)
    a.transient(["clock"])
  }

  /// A new inode number.
  func nextInode() -> UInt64 {
    lastInode &+= 1
    return lastInode
  }

  /// A zeroed frame for the page cache; it is counted.
  func allocateFrame() throws(Errno) -> UInt64 {
    var pa: UInt64
    do {
      pa = try frames.allocate()
    } catch {
      guard let reclaimer, reclaimer.reclaim() > 0 else { throw error }
      pa = try frames.allocate()
    }
    cachedPages += 1
    return pa
  }

  /// Drops the page cache's reference to a frame.
  func releaseFrame(_ pa: UInt64) {
    cachedPages -= 1
    frames.release(pa)
  }

  /// What `statfs` tells.
  var statistics: FileSystemStatistics {
    let isMemory = magic == Self.tmpfsMagic
    let free = isMemory ? UInt64(max(frames.available, 0)) : 0
    let used = UInt64(max(cachedPages, 0))
    return FileSystemStatistics(
      magic: magic, blockSize: 4096, blocks: isMemory ? used &+ free : 0, freeBlocks: free,
      files: isMemory ? nameLimit : 0, freeFiles: isMemory ? nameLimit &- min(names, nameLimit) : 0,
      identifier: device.encoded, nameLimit: UInt64(Path.nameLimit),
      flags: 0x1020 | (isReadOnly ? 1 : 0))
  }

  /// `TMPFS_MAGIC`, `PROC_SUPER_MAGIC`, `PIPEFS_MAGIC` and so on.
  ///
  /// - SeeAlso: Linux, `include/uapi/linux/magic.h`.
  static let tmpfsMagic: UInt64 = 0x0102_1994
  static let procMagic: UInt64 = 0x9fa0
  static let pipeMagic: UInt64 = 0x5049_5045
  static let socketMagic: UInt64 = 0x534f_434b
  static let anonymousMagic: UInt64 = 0x0904_1934
  static let sysfsMagic: UInt64 = 0x6265_6572
  static let hostMagic: UInt64 = 0xef53

  /// The time, as inodes keep it.
  var time: Int64 { Int64(clamping: clock?() ?? 0) }
}
