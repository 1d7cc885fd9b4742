fetch("/api/settings")
  .then((answer) => answer.json())
  .then((settings) => { document.getElementById("greeting").textContent = settings.greeting; });
