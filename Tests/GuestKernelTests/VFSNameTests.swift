import Testing

@testable import GuestKernel

@Suite struct VFSNameTests {
  private func world() throws -> World {
    let world = try World()
    try world.mkdir("/d")
    try world.mkdir("/d/e")
    try world.mkdir("/empty")
    try world.write("/f", "f")
    try world.write("/g", "g")
    try world.symlink("/d", "/l")
    return world
  }

  @Test(
    arguments: [
      ("/d", Errno.EEXIST), ("/f", .EEXIST), ("/l", .EEXIST), ("/", .EEXIST), (".", .EEXIST),
      ("/d/..", .EEXIST), ("/no/x", .ENOENT), ("/f/x", .ENOTDIR), ("/new", nil), ("/new/", nil),
      ("/sys/new", .EROFS), ("/proc/new", .ENOENT), ("", .ENOENT),
    ] as [(Path, Errno?)])
  func mkdir(_ path: Path, _ expected: Errno?) throws {
    let world = try world()
    #expect(errno { try world.mkdir(path) } == expected)
  }

  @Test(
    arguments: [
      ("/d", Errno.EISDIR), ("/d/", .EISDIR), ("/", .EISDIR), ("/d/.", .EISDIR), ("/f/", .ENOTDIR),
      ("/no", .ENOENT), ("/no/", .ENOENT), ("/f", nil), ("/l", nil), ("/l/", .ENOTDIR),
      ("/tmp", .EISDIR),
    ] as [(Path, Errno?)])
  func unlink(_ path: Path, _ expected: Errno?) throws {
    let world = try world()
    #expect(errno { try world.vfs.unlink(path, world.context) } == expected)
  }

  @Test(
    arguments: [
      ("/d", Errno.ENOTEMPTY), ("/d/e", nil), ("/empty/", nil), ("/f", .ENOTDIR), ("/l", .ENOTDIR),
      ("/l/", .ENOTDIR), ("/", .EBUSY), ("/empty/.", .EINVAL), ("/d/e/..", .ENOTEMPTY),
      ("/no", .ENOENT), ("/tmp", .EBUSY),
    ] as [(Path, Errno?)])
  func rmdir(_ path: Path, _ expected: Errno?) throws {
    let world = try world()
    #expect(errno { try world.vfs.removeDirectory(path, world.context) } == expected)
  }

  @Test(
    arguments: [
      ("/f", "/g", 0, Errno?.none), ("/f", "/d/x", 0, nil), ("/d", "/d/e/x", 0, .EINVAL),
      ("/d", "/d", 0, nil), ("/d/e", "/d", 0, .ENOTEMPTY), ("/d", "/empty", 0, nil),
      ("/empty", "/d", 0, .ENOTEMPTY), ("/f", "/d", 0, .EISDIR), ("/d", "/f", 0, .ENOTDIR),
      ("/no", "/x", 0, .ENOENT), ("/f", "/no/x", 0, .ENOENT), ("/f", "/tmp/f", 0, .EXDEV),
      ("/f/", "/x", 0, .ENOTDIR), ("/f", "/x/", 0, .ENOTDIR), ("/d", "/x/", 0, nil),
      ("/", "/x", 0, .EBUSY), ("/d/.", "/x", 0, .EBUSY), ("/f", "/d/..", 0, .EBUSY),
      ("/f", "/g", 1, .EEXIST), ("/f", "/x", 1, nil), ("/f", "/x", 2, .ENOENT),
      ("/f", "/d", 2, nil), ("/d", "/d/e", 2, .EINVAL), ("/f", "/g", 3, .EINVAL),
      ("/f", "/g", 8, .EINVAL), ("/tmp", "/x", 0, .EBUSY),
    ] as [(Path, Path, UInt32, Errno?)])
  func rename(_ old: Path, _ new: Path, _ flags: UInt32, _ expected: Errno?) throws {
    let world = try world()
    #expect(
      errno { try world.vfs.rename(old, to: new, flags: flags, world.context) } == expected)
  }

  @Test(
    arguments: [
      ("/f", "/x", Errno?.none), ("/d", "/x", .EPERM), ("/f", "/g", .EEXIST),
      ("/no", "/x", .ENOENT),
      ("/f", "/tmp/x", .EXDEV), ("/l", "/x", nil), ("/f", "/x/", .ENOENT),
    ] as [(Path, Path, Errno?)])
  func link(_ old: Path, _ new: Path, _ expected: Errno?) throws {
    let world = try world()
    #expect(errno { try world.vfs.link(old, to: new, world.context) } == expected)
  }

  @Test(
    arguments: [
      ("", "/x", Errno?.some(.ENOENT)), ("t", "/f", .EEXIST), ("t", "/x/", .ENOENT),
      ("t", "/x", nil),
      (VFSPathTests.longPath, "/x", .ENAMETOOLONG),
    ] as [(Path, Path, Errno?)])
  func symlink(_ target: Path, _ path: Path, _ expected: Errno?) throws {
    let world = try world()
    #expect(errno { try world.symlink(target, path) } == expected)
  }

  @Test func `a link is read and others are not links`() throws {
    let world = try world()
    #expect(try world.vfs.readlink("/l", world.context) == "/d")
    #expect(errno { try world.vfs.readlink("/f", world.context) } == .EINVAL)
    #expect(try world.attributes("/l", []).size == 2)
  }

  @Test func `hard links share everything and count`() throws {
    let world = try world()
    try world.vfs.link("/f", to: "/d/h", world.context)
    try world.write("/d/h", "changed")
    #expect(try world.text("/f") == "changed")
    #expect(try world.attributes("/f").links == 2)
    try world.vfs.unlink("/f", world.context)
    #expect(try world.attributes("/d/h").links == 1)
    // Renaming one link of a file over another does nothing.
    try world.vfs.link("/d/h", to: "/again", world.context)
    try world.vfs.rename("/d/h", to: "/again", world.context)
    #expect(try world.attributes("/d/h").links == 2)
  }

  @Test func `directories count their subdirectories`() throws {
    let world = try world()
    #expect(try world.attributes("/d").links == 3)
    try world.vfs.rename("/d/e", to: "/empty/e", world.context)
    #expect(try world.attributes("/d").links == 2)
    #expect(try world.attributes("/empty").links == 3)
  }

  @Test func `renaming replaces and keeps what is open`() throws {
    let world = try world()
    let old = try world.open("/g")
    try world.vfs.rename("/f", to: "/g", world.context)
    #expect(try world.text("/g") == "f")
    #expect(try old.read(9) == Array("g".utf8))
    #expect(old.path == "/g (deleted)")
    #expect(old.inode.links == 0)
  }

  @Test func `exchanging swaps both`() throws {
    let world = try world()
    try world.vfs.rename("/f", to: "/d", flags: 2, world.context)
    #expect(try world.text("/d") == "f")
    #expect(try world.names("/f") == ["e"])
  }

  @Test func `a sticky directory protects others' files`() throws {
    let world = try World()
    try world.write("/tmp/f", "x")
    world.context.credentials = Credentials(uid: 5, gid: 5)
    #expect(errno { try world.vfs.unlink("/tmp/f", world.context) } == .EPERM)
    #expect(errno { try world.vfs.rename("/tmp/f", to: "/tmp/g", world.context) } == .EPERM)
  }

  @Test func `a temporary file gets a name by linking`() throws {
    let world = try world()
    let file = try world.open("/d", [.temporary, .directory, .readWrite])
    _ = try file.write([1, 2, 3])
    #expect(try world.names("/d") == ["e"])
    try world.vfs.link(
      "", from: file.dentry, to: "/d/named", flags: .emptyPath, world.context)
    #expect(try world.attributes("/d/named").links == 1)
    #expect(try world.attributes("/d/named").size == 3)
  }

  @Test(
    arguments: [
      (0o010644, Errno?.none), (0o100644, nil), (0o644, nil), (0o140644, nil), (0o020644, nil),
      (0o040755, .EPERM), (0o120777, .EINVAL), (0o170000, .EINVAL),
    ] as [(UInt32, Errno?)])
  func mknod(_ mode: UInt32, _ expected: Errno?) throws {
    let world = try World()
    #expect(
      errno { try world.vfs.makeNode("/n", mode: mode, device: 0x103, world.context) } == expected)
  }

  @Test func `names run out before the host's memory does`() throws {
    let world = try World(pages: 128)
    var made = 0
    while errno({ try world.vfs.link("/f0", to: Path("/f\(made)"), world.context) }) != .ENOSPC {
      if made == 0 { try world.write("/f0", "") }
      made += 1
      try #require(made < 1000)
    }
    #expect(made > 50)
  }

  @Test func `a listing is stable while names go and come`() throws {
    let world = try World()
    for index in 0..<10 { try world.write(Path("/tmp/f\(index)"), "") }
    let directory = try world.open("/tmp", .directory)
    var seen = try world.records(try directory.readDirectory(24 * 5)).map(\.name)
    #expect(seen == [".", "..", "f0", "f1", "f2"])
    for index in [0, 2, 3, 5] { try world.vfs.unlink(Path("/tmp/f\(index)"), world.context) }
    try world.write("/tmp/new", "")
    while true {
      let next = try world.records(try directory.readDirectory(24))
      if next.isEmpty { break }
      seen += next.map(\.name)
    }
    #expect(seen == [".", "..", "f0", "f1", "f2", "f4", "f6", "f7", "f8", "f9", "new"])
    #expect(try directory.seek(0, 0) == 0)
    #expect(try world.records(try directory.readDirectory(4096)).count == 9)
  }

  @Test func `records have types and inode numbers`() throws {
    let world = try world()
    let all = try world.records(try world.open("/", .directory).readDirectory(65536))
    let types = Dictionary(all.map { ($0.name, $0.type) }) { first, _ in first }
    #expect(types["d"] == 4 && types["f"] == 8 && types["l"] == 10 && types["."] == 4)
    #expect(try all.first { $0.name == "f" }?.inode == world.attributes("/f").inode)
  }

  @Test func `a listing's errors`() throws {
    let world = try world()
    let directory = try world.open("/d", .directory)
    #expect(errno { try directory.readDirectory(23) } == .EINVAL)
    #expect(errno { try directory.readDirectory(-1) } == .EINVAL)
    #expect(errno { try world.open("/f").readDirectory(100) } == .ENOTDIR)
    _ = try directory.seek(.max, 0)
    #expect(try directory.readDirectory(100).isEmpty)
    let gone = try world.open("/empty", .directory)
    try world.vfs.removeDirectory("/empty", world.context)
    #expect(errno { try gone.readDirectory(100) } == .ENOENT)
  }

  @Test func `times and owners are set`() throws {
    let world = try world()
    let dentry = try world.vfs.resolve("/f", world.context)
    world.clock.now = 5000
    try world.vfs.setTimes(dentry, accessed: .at(-7), modified: .omit, world.context)
    #expect(dentry.inode.accessed == -7 && dentry.inode.modified == 1000)
    #expect(dentry.inode.changed == 5000)
    try world.vfs.setMode(dentry, 0o4755, world.context)
    try world.vfs.setOwner(dentry, uid: 3, gid: .max, world.context)
    #expect(dentry.inode.uid == 3 && dentry.inode.gid == 0)
    #expect(dentry.inode.mode.rawValue == 0o100755)
  }
}
