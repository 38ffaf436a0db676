import Testing

@testable import GuestKernel

@Suite struct VFSPathTests {
  /// `/dir/file`, `/dir/sub/`, `/link` → `dir/file`, `/dirlink` → `/dir`, `/dangling`, `/loop`.
  private func world() throws -> World {
    let world = try World()
    try world.mkdir("/dir")
    try world.mkdir("/dir/sub")
    try world.write("/dir/file", "hello")
    try world.symlink("dir/file", "/link")
    try world.symlink("/dir", "/dirlink")
    try world.symlink("nowhere", "/dangling")
    try world.symlink("loop", "/loop")
    return world
  }

  static let long = Path([UInt8](repeating: 97, count: 256))
  static let longPath = Path([UInt8](repeating: 47, count: 4096))

  @Test(
    arguments: [
      ("", Errno.ENOENT), ("/missing", .ENOENT), ("/missing/x", .ENOENT), ("/dir/file/", .ENOTDIR),
      ("/dir/file/x", .ENOTDIR), ("/dir/file/.", .ENOTDIR), ("/dir/file/..", .ENOTDIR),
      ("/link/", .ENOTDIR), ("/link/x", .ENOTDIR), ("/dangling", .ENOENT), ("/loop", .ELOOP),
      ("/loop/x", .ELOOP), (long, .ENAMETOOLONG), (longPath, .ENAMETOOLONG),
      ("/dir", nil), ("/dir/", nil), ("//dir//file", nil), ("/dir/./sub/../file", nil),
      ("/dirlink/file", nil), ("/dirlink/", nil), ("/../../dir", nil), ("/", nil), (".", nil),
    ] as [(Path, Errno?)])
  func resolving(_ path: Path, _ expected: Errno?) throws {
    let world = try world()
    #expect(errno { try world.vfs.resolve(path, world.context) } == expected)
  }

  @Test func `forty links are followed and one more is not`() throws {
    let world = try World()
    try world.write("/l0", "x")
    for index in 1...41 { try world.symlink(Path("l\(index - 1)"), Path("/l\(index)")) }
    #expect(errno { try world.vfs.resolve("/l40", world.context) } == nil)
    #expect(errno { try world.vfs.resolve("/l41", world.context) } == .ELOOP)
  }

  @Test(
    arguments: [
      ("/link", OpenFlags.noFollow, Errno.ELOOP), ("/link", [.noFollow, .path], nil),
      ("/dir", .writeOnly, .EISDIR), ("/dir", .readWrite, .EISDIR), ("/dir", .readOnly, nil),
      ("/dir/", .create, .EISDIR), ("/dir", .create, .EISDIR), ("/", .create, .EISDIR),
      ("/new/", .create, .EISDIR), ("/missing/new", .create, .ENOENT),
      ("/dir/file/new", .create, .ENOTDIR), ("/dir/file", [.create, .exclusive], .EEXIST),
      ("/dangling", [.create, .exclusive], .EEXIST), ("/", [.create, .exclusive], .EEXIST),
      ("/dir/file", .directory, .ENOTDIR), ("/dirlink", [.directory, .noFollow], .ENOTDIR),
      ("/dir", [.create, .directory], .EINVAL), ("/loop", .create, .ELOOP),
      ("/dir/file", [.temporary, .directory], .EINVAL),
      ("/dir/file", [.temporary, .directory, .readWrite], .ENOTDIR),
      ("/dir", [.temporary, .directory, .readWrite], nil), ("/dangling", .create, nil),
      ("/proc/x", .create, .ENOENT), ("/sys/x", .create, .EROFS),
    ] as [(Path, OpenFlags, Errno?)])
  func opening(_ path: Path, _ flags: OpenFlags, _ expected: Errno?) throws {
    let world = try world()
    let wanted = flags.contains(.create) ? flags.union(.readWrite) : flags
    #expect(errno { try world.open(path, wanted) } == expected)
  }

  @Test func `creating through a dangling link makes its target`() throws {
    let world = try world()
    try world.write("/dangling", "made")
    #expect(try world.text("/nowhere") == "made")
  }

  @Test func `the mask takes permissions away`() throws {
    let world = try World()
    world.context.umask = 0o027
    _ = try world.open("/f", [.create, .readWrite], mode: 0o666)
    #expect(try world.attributes("/f").mode.rawValue == 0o100640)
  }

  @Test func `a path given to a descriptor begins at its directory`() throws {
    let world = try world()
    let table = FileTable()
    let fd = try table.allocate(try world.open("/dir", [.directory, .path]))
    let base = try table.base(fd, "file")
    #expect(try world.vfs.resolve("file", world.context, from: base).inode.size == 5)
    #expect(try table.base(99, "/dir") == nil)
    #expect(errno { try table.base(99, "file") } == .EBADF)
    let file = try table.allocate(try world.open("/dir/file"))
    let wrong = try table.base(file, "x")
    #expect(errno { try world.vfs.resolve("x", world.context, from: wrong) } == .ENOTDIR)
  }

  @Test func `an empty path is the base where that is asked for`() throws {
    let world = try world()
    let base = try world.vfs.resolve("/dir/file", world.context)
    #expect(try world.vfs.resolve("", world.context, from: base, flags: .emptyPath) === base)
  }

  @Test func `a walk inside a root does not leave it`() throws {
    let world = try world()
    try world.vfs.changeRoot("/dir", world.context)
    #expect(try world.vfs.resolve("/../../..", world.context).inode === world.context.root.inode)
    #expect(try world.text("/../file") == "hello")
  }

  @Test(
    arguments: [
      ("..", LookupFlags.beneath, Errno.EXDEV), ("/x", .beneath, .EXDEV), ("sub/..", .beneath, nil),
      ("../link", [.inRoot, .follow], .ENOENT), ("../file", .inRoot, nil),
      ("../link", [.noSymlinks, .follow], .ELOOP), ("../dev/null", .noCrossing, .EXDEV),
      ("../proc/self/exe", [.follow, .noMagicLinks], .ENOENT),
    ] as [(Path, LookupFlags, Errno?)])
  func `openat2's restrictions`(_ path: Path, _ flags: LookupFlags, _ expected: Errno?) throws {
    let world = try world()
    let base = try world.vfs.resolve("/dir", world.context)
    #expect(
      errno { try world.vfs.resolve(path, world.context, from: base, flags: flags) } == expected)
  }

  @Test func `the working directory has a path until it is removed`() throws {
    let world = try world()
    try world.vfs.changeDirectory("/dirlink/sub", world.context)
    #expect(try world.vfs.currentDirectory(world.context) == "/dir/sub")
    try world.vfs.rename("/dir", to: "/moved", world.context)
    #expect(try world.vfs.currentDirectory(world.context) == "/moved/sub")
    try world.vfs.removeDirectory("/moved/sub", world.context)
    #expect(errno { try world.vfs.currentDirectory(world.context) } == .ENOENT)
    #expect(errno { try world.open("new", [.create, .readWrite]) } == .ENOENT)
    #expect(try world.vfs.resolve("..", world.context).name == "moved")
  }

  @Test func `a path crosses mounts upwards and downwards`() throws {
    let world = try World()
    try world.vfs.changeDirectory("/dev/shm", world.context)
    #expect(try world.vfs.currentDirectory(world.context) == "/dev/shm")
    #expect(errno { try world.vfs.resolve("../../tmp/../dev/null", world.context) } == nil)
  }

  @Test(
    arguments: [
      (0o4, 0o400, 5, Errno?.none), (4, 0o040, 5, .EACCES), (2, 0o200, 5, nil),
      (2, 0o400, 5, .EACCES),
      (4, 0o004, 6, nil), (1, 0o644, 0, .EACCES), (1, 0o100, 0, nil), (6, 0, 0, nil),
    ] as [(UInt32, UInt32, UInt32, Errno?)])
  func access(_ mode: UInt32, _ permissions: UInt32, _ uid: UInt32, _ expected: Errno?) throws {
    let world = try World()
    try world.write("/f", "")
    let dentry = try world.vfs.resolve("/f", world.context)
    try world.vfs.setOwner(dentry, uid: 5, gid: 5, world.context)
    try world.vfs.setMode(dentry, permissions, world.context)
    world.context.credentials = Credentials(uid: uid, gid: 9)
    #expect(errno { try world.vfs.access("/f", mode: mode, world.context) } == expected)
  }

  @Test func `names that Unicode calls equal are different`() throws {
    let world = try World()
    try world.write(Path([0xc3, 0xa9]), "one")
    try world.write(Path([0x65, 0xcc, 0x81]), "two")
    try world.write(Path([0xff]), "three")
    #expect(try world.text(Path([0xc3, 0xa9])) == "one")
    #expect(try world.text(Path([0xff])) == "three")
  }

  @Test func `very deep trees are built and taken apart`() throws {
    let world = try World(pages: 45000)
    for _ in 0..<20000 {
      try world.vfs.makeDirectory("d", mode: 0o755, world.context)
      try world.vfs.changeDirectory("d", world.context)
    }
    for _ in 0..<10000 {
      try world.vfs.changeDirectory("..", world.context)
      try world.vfs.removeDirectory("d", world.context)
    }
    let deep = world.context.cwd
    #expect(deep.path(below: nil).bytes.count == 20000)
  }
}
